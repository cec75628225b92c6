//! Reads the files that are watched, on a thread of their own: one on a mount that hangs holds up nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::file_read::{self, CurrentFile};
use super::layers::Digest256;

/// How long a read may take.
const READ_MAX: Duration = Duration::from_secs(5);
/// How long after a read that hangs the next one begins; four times as long after each further one.
const PAUSE: Duration = Duration::from_secs(10);
/// Maximum number of threads that hang. Without it, each poll would add one while a mount does not answer.
const HUNG_MAX: usize = 4;

/// Runs one read at a time. One that hangs, as in a mount that does not answer, keeps its thread: nothing ends it. Another one begins after
/// a pause, so that files that can be read again are. Threads of our own, because the runtime would wait for one of its own before the
/// process ends.
pub(crate) struct FileThread {
    hung: Vec<HungRead>,
    read_max: Duration,
    pause: Duration,
}

struct HungRead {
    thread: JoinHandle<()>,
    file: CurrentFile,
    since: Instant,
}

impl Default for FileThread {
    fn default() -> Self {
        Self { hung: Vec::new(), read_max: READ_MAX, pause: PAUSE }
    }
}

impl FileThread {
    /// The result of the read.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if it takes too long, or too little time has passed since an earlier one did that has not ended; that
    /// of the operating system if there is no thread for it.
    pub(crate) async fn read<T: Send + 'static>(
        &mut self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        self.hung.retain(|hung| !hung.thread.is_finished());
        if let Some(last) = self.hung.last()
            && (self.hung.len() == HUNG_MAX || last.since.elapsed() < self.pause_now())
        {
            return Err(self.overdue(last));
        }
        let (done, result) = oneshot::channel();
        let file = CurrentFile::default();
        let followed = file.clone();
        let work = move || {
            followed.follow();
            // Sending fails where the wait has timed out.
            drop(done.send(read()));
        };
        let thread = std::thread::Builder::new().name("files".into()).spawn(work)?;
        match timeout(self.read_max, result).await {
            Ok(read) => read.map_err(|_| io::Error::other("the thread that read it panicked")),
            Err(_) => {
                let hung = HungRead { thread, file, since: Instant::now() };
                let error = self.overdue(&hung);
                self.hung.push(hung);
                Err(error)
            }
        }
    }

    /// The pause after the newest read that hangs.
    fn pause_now(&self) -> Duration {
        (1..self.hung.len()).fold(self.pause, |pause, _| pause.saturating_mul(4))
    }

    fn overdue(&self, hung: &HungRead) -> io::Error {
        let (file, limit) = (hung.file.path(), self.read_max.as_secs());
        let more = if self.hung.len() >= HUNG_MAX {
            "nothing more is read before the mount answers or the process is restarted"
        } else {
            "have its mount answer again, or name another file; it is tried again after a while"
        };
        let text = format!("{} was not read within {limit} s; {more}", file.display());
        io::Error::new(io::ErrorKind::TimedOut, text)
    }
}

/// What the files hold at one check.
pub(super) struct Contents {
    pub(super) watched: Vec<io::Result<Digest256>>,
    pub(super) config: io::Result<Digest256>,
    /// Of all files that the config names, readable or not.
    pub(super) named: Digest256,
}

impl Contents {
    /// Without a config file its content is always the same.
    pub(super) fn read(watched: &[PathBuf], config: Option<&Path>, named: &[PathBuf]) -> Self {
        let mut all = Sha256::new();
        for path in named {
            match digest(path) {
                Ok(content) => all.update(content),
                // An error is a content too: a file that appears or becomes readable is a change.
                Err(error) => all.update(error.to_string()),
            }
        }
        Self {
            watched: watched.iter().map(|path| digest(path)).collect(),
            config: config.map_or(Ok([0; 32]), digest),
            named: all.finalize().into(),
        }
    }
}

fn digest(path: &Path) -> io::Result<Digest256> {
    Ok(Sha256::digest(file_read::bytes(path)?).into())
}

/// A file that is watched and not read here.
pub(super) struct WatchedFile {
    path: PathBuf,
    seen: Option<Digest256>,
    unreadable: bool,
}

impl WatchedFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, seen: None, unreadable: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the content changed. Logs once if it cannot be read.
    pub(super) fn changed(&mut self, content: io::Result<Digest256>) -> bool {
        match content {
            Ok(digest) => {
                self.unreadable = false;
                // The first check counts as a change: the file may have changed between its use at the start and now.
                self.seen.replace(digest) != Some(digest)
            }
            Err(error) => {
                if !self.unreadable {
                    let file = self.path.display();
                    tracing::warn!(target: "config", %file, %error, "watched file cannot be read, the last one stays");
                }
                self.unreadable = true;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_secs(60);

    /// A thread on which a read of that file hangs until the sender is dropped.
    async fn hang(thread: &mut FileThread, path: &'static str) -> (String, mpsc::Sender<()>) {
        let (sender, receiver) = mpsc::channel::<()>();
        thread.read_max = Duration::from_millis(20);
        let read = move || {
            let _ = file_read::bytes(Path::new(path));
            let _ = receiver.recv();
        };
        let error = thread.read(read).await.unwrap_err();
        thread.read_max = SOON;
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        (error.to_string(), sender)
    }

    #[tokio::test]
    async fn a_read_that_hangs_is_named_and_does_not_end_all_reading() {
        let mut thread = FileThread { pause: SOON, ..FileThread::default() };
        let (error, mount) = hang(&mut thread, "/no/such/mount").await;
        assert!(error.starts_with("/no/such/mount was not read"), "{error}");
        assert_eq!(thread.read(|| 1).await.unwrap_err().kind(), io::ErrorKind::TimedOut, "in the pause");
        // After the pause another thread reads.
        thread.pause = Duration::ZERO;
        assert_eq!(thread.read(|| 2).await.unwrap(), 2);
        assert_eq!(thread.hung.len(), 1);
        // The mount answers again.
        drop(mount);
        while !thread.hung[0].thread.is_finished() {
            tokio::task::yield_now().await;
        }
        thread.pause = SOON;
        assert_eq!(thread.read(|| 3).await.unwrap(), 3);
        assert!(thread.hung.is_empty());
    }

    #[tokio::test]
    async fn the_number_of_threads_that_hang_is_bounded() {
        let mut thread = FileThread { pause: Duration::ZERO, ..FileThread::default() };
        let mut mounts = Vec::new();
        for _ in 0..HUNG_MAX {
            mounts.push(hang(&mut thread, "/no/such/mount").await.1);
        }
        let error = thread.read(|| ()).await.unwrap_err().to_string();
        assert!(error.contains("restarted"), "{error}");
        drop(mounts);
        while !thread.hung.iter().all(|hung| hung.thread.is_finished()) {
            tokio::task::yield_now().await;
        }
        thread.read(|| ()).await.unwrap();
    }

    #[tokio::test]
    async fn only_regular_files_are_read_while_the_proxy_runs() {
        let read =
            |path: &'static str| move || file_read::bytes(Path::new(path)).map_err(|error| error.to_string());
        let mut thread = FileThread::default();
        let device = thread.read(read("/dev/zero")).await.unwrap().unwrap_err();
        assert!(device.contains("not a regular file"), "{device}");
        assert!(thread.read(read("/proc/self/status")).await.unwrap().is_ok());
    }
}
