//! What the commands print, one file a command. The only room that writes to the terminal.

pub mod check;
