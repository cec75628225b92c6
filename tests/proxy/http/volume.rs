//! Bodies of any length move through bounded memory. The program itself, measured from outside.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::wire::binary::Binary;
use crate::support::wire::raw::{RawConnection, RawListener};

const MIB: usize = 1 << 20;
const GROWTH_KIB: u64 = 16 * 1024;

/// Not `soon`: this may take as long as the machine is slow.
async fn pour(stream: &mut TcpStream, bytes: usize) {
    let block = vec![b'x'; 64 * 1024];
    for _ in 0..bytes / block.len() {
        stream.write_all(&block).await.unwrap();
    }
}

async fn swallow(stream: &mut TcpStream, bytes: usize) {
    let mut block = vec![0; 256 * 1024];
    let mut left = bytes;
    while left > 0 {
        let most = left.min(block.len());
        let read = stream.read(&mut block[..most]).await.unwrap();
        assert!(read > 0, "{left} bytes are missing");
        left -= read;
    }
}

async fn both_ways(shim: &Binary, listener: &RawListener, bytes: usize) {
    let mut client = RawConnection::to(shim.address).await;
    let up = async {
        client.say(format!("POST /v2/x HTTP/1.1\r\nhost: shim\r\ncontent-length: {bytes}\r\n\r\n")).await;
        pour(&mut client.stream, bytes).await;
        assert_eq!(client.head().await.status(), "200");
        let heard = client.heard_already();
        swallow(&mut client.stream, bytes - heard).await;
    };
    let down = async {
        let mut upstream = listener.next().await;
        upstream.head().await;
        // The head's reader may have heard the body's beginning.
        let heard = upstream.heard_already();
        swallow(&mut upstream.stream, bytes - heard).await;
        upstream
            .say(format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n"))
            .await;
        pour(&mut upstream.stream, bytes).await;
    };
    tokio::join!(up, down);
}

#[tokio::test]
async fn long_bodies_do_not_grow_the_process() {
    let listener = RawListener::open().await;
    let config = format!("[upstream.legacy]\nurl = \"{}\"\n", listener.url("/v2"));
    let shim = Binary::serve(tempfile::tempdir().unwrap(), &config, &[]).await;
    both_ways(&shim, &listener, MIB).await;
    let before = shim.peak_memory_kib();
    let bytes = 1024 * MIB;
    both_ways(&shim, &listener, bytes).await;
    let growth = shim.peak_memory_kib() - before;
    assert!(growth < GROWTH_KIB, "{growth} KiB more for {bytes} bytes each way");
    let logged = shim.lines("\"target\":\"access\"", 2).await.remove(1);
    for counted in ["request_bytes", "response_bytes"] {
        assert!(logged.contains(&format!("\"{counted}\":{bytes},")), "{logged}");
    }
}
