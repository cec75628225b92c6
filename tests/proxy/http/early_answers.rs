//! Answers that come before the client has sent its whole request: the client reads them, whatever it is.

use std::process::{Command, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::soon;
use crate::support::wire::raw::RawConnection;
use crate::support::wire::{LEGACY, TestBed, bed};

const BODY: usize = 24 << 20;

/// A body over the limit, a create while creates are on hold, and one without a token.
async fn beds() -> [(TestBed, &'static str, u16); 3] {
    [
        (bed("sealed", &[]).await, LEGACY, 413),
        (bed("hold", &[]).await, LEGACY, 503),
        (bed("sealed", &[]).await, "/v2/conversion/stablecoins/x/y", 404),
    ]
}

#[tokio::test]
async fn a_client_that_sends_everything_first_reads_the_answer() {
    for chunked in [false, true] {
        for (bed, path, status) in beds().await {
            let mut client = TcpStream::connect(bed.shim.address).await.unwrap();
            let framing = if chunked {
                format!("transfer-encoding: chunked\r\n\r\n{BODY:x}\r\n")
            } else {
                format!("content-length: {BODY}\r\n\r\n")
            };
            let head = format!("POST {path} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer t\r\n{framing}");
            client.write_all(head.as_bytes()).await.unwrap();
            soon(client.write_all(&vec![b' '; BODY])).await.unwrap_or_else(|error| panic!("{path} {error}"));
            if chunked {
                client.write_all(b"\r\n0\r\n\r\n").await.unwrap();
            }
            let mut answer = Vec::new();
            soon(client.read_to_end(&mut answer)).await.unwrap();
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
            assert!(answer.ends_with('}'), "{path}: {answer}");
            // Or the client sends its next request on a connection that is about to be closed.
            assert!(answer.contains("\r\nconnection: close\r\n"), "{path}: {answer}");
        }
    }
}

/// What arrives with the head costs nothing to read.
#[tokio::test]
async fn a_short_body_that_is_not_read_leaves_the_connection_open() {
    let bed = bed("hold", &[]).await;
    let mut client = RawConnection::to(bed.shim.address).await;
    for _ in 0..3 {
        client.say(format!("POST {LEGACY} HTTP/1.1\r\nhost: shim\r\ncontent-length: 2\r\n\r\n{{}}")).await;
        let answer = client.message().await;
        assert_eq!((answer.status(), answer.header("connection")), ("503", None));
    }
}

const PYTHON: &str = "import http.client, sys\n\
    c = http.client.HTTPConnection(sys.argv[1])\n\
    c.request('POST', sys.argv[2], open(sys.argv[3], 'rb').read())\n\
    print(c.getresponse().status)";
const NODE: &str = "const http = require('http'), fs = require('fs');\n\
        const [host, path, file] = process.argv.slice(1);\n\
        const [name, port] = host.split(':');\n\
        const request = http.request({ host: name, port, path, method: 'POST' }, r => { console.log(r.statusCode); r.resume(); });\n\
        request.end(fs.readFileSync(file));";

#[tokio::test]
async fn real_clients_read_the_answer() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("body");
    std::fs::write(&file, vec![b' '; BODY]).unwrap();
    let file = file.to_str().unwrap();
    let mut read = 0;
    for (bed, path, status) in beds().await {
        let address = bed.shim.address.to_string();
        let url = format!("http://{address}{path}");
        let data = format!("@{file}");
        let clients: [(&str, Vec<&str>); 3] = [
            (
                "curl",
                vec![
                    "-s",
                    "-o",
                    "/dev/null",
                    "-w",
                    "%{http_code}",
                    "-H",
                    "Expect:",
                    "--data-binary",
                    &data,
                    &url,
                ],
            ),
            ("python3", vec!["-c", PYTHON, &address, path, file]),
            ("node", vec!["-e", NODE, &address, path, file]),
        ];
        for (program, arguments) in clients {
            let mut command = Command::new(program);
            command.args(&arguments).stdin(Stdio::null());
            let running = tokio::task::spawn_blocking(move || command.output());
            let ran = match soon(running).await.unwrap() {
                Ok(ran) => ran,
                Err(error) => {
                    eprintln!("{program} is not installed: {error}");
                    continue;
                }
            };
            let said = String::from_utf8_lossy(&ran.stdout).trim().to_owned();
            assert_eq!(said, status.to_string(), "{program} {path}: {ran:?}");
            read += 1;
        }
    }
    assert!(read > 0, "no client is installed");
}

/// RFC 9113, section 8.1: the whole answer, then a reset that is no error.
#[tokio::test]
async fn over_http_2_the_answer_comes_whole_before_the_reset() {
    let bed = bed("sealed", &[]).await;
    let socket = TcpStream::connect(bed.shim.address).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(socket).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::post(format!("http://shim{LEGACY}")).header("content-length", BODY);
    let (answer, mut body) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    body.send_data(bytes::Bytes::from(vec![b' '; 1 << 16]), false).unwrap();
    let mut answer = soon(answer).await.unwrap();
    assert_eq!(answer.status(), 413);
    let mut text = Vec::new();
    while let Some(data) = soon(answer.body_mut().data()).await {
        text.extend_from_slice(&data.unwrap());
    }
    assert!(text.ends_with(b"}"), "{text:?}");
    let reset = std::future::poll_fn(|context| body.poll_reset(context));
    assert_eq!(soon(reset).await.unwrap(), h2::Reason::NO_ERROR);
    connection.abort();
}

const NODE_HTTP2: &str = "const http2 = require('http2'), fs = require('fs');\n\
        const [host, path, file] = process.argv.slice(1);\n\
        const client = http2.connect(`http://${host}`);\n\
        client.on('error', e => console.log(e.message));\n\
        const request = client.request({ ':method': 'POST', ':path': path });\n\
        request.on('response', headers => console.log(headers[':status']));\n\
        request.on('error', e => console.log(e.message));\n\
        request.on('close', () => client.close());\n\
        request.resume();\n\
        fs.createReadStream(file).pipe(request);";

/// curl 7.88 does not show the answer when the reset comes while it still uploads.
#[tokio::test]
async fn real_clients_of_http_2_read_the_answer() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("body");
    std::fs::write(&file, vec![b' '; BODY]).unwrap();
    let file = file.to_str().unwrap();
    for (bed, path, status) in beds().await {
        let address = bed.shim.address.to_string();
        let (url, data) = (format!("http://{address}{path}"), format!("@{file}"));
        let curl = [
            "-s",
            "--http2-prior-knowledge",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--data-binary",
            &data,
            &url,
        ];
        let clients: [(&str, &[&str]); 2] =
            [("curl", &curl), ("node", &["-e", NODE_HTTP2, &address, path, file])];
        for (program, arguments) in clients {
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null());
            match soon(tokio::task::spawn_blocking(move || command.output())).await.unwrap() {
                Ok(ran) => {
                    let said = String::from_utf8_lossy(&ran.stdout).trim().to_owned();
                    assert_eq!(said, status.to_string(), "{program} {path}: {ran:?}");
                }
                Err(error) => eprintln!("{program} is not installed: {error}"),
            }
        }
    }
}
