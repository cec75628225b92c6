//! The client stacks: where they are on this machine, and how their programs are built and run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One HTTP library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    Curl,
    Requests,
    Httpx,
    Fetch,
    Axios,
    Go,
    Java,
}

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Protocol {
    pub(crate) tls: bool,
    /// What the client is told: `1.1` or `2`.
    pub(crate) version: &'static str,
    /// What comes of it.
    pub(crate) spoken: &'static str,
}

impl Protocol {
    /// Whether the client asks for an upgrade to HTTP/2, which is not given.
    pub(crate) fn offers_h2c(self) -> bool {
        self.version != self.spoken
    }

    pub(crate) fn name(self) -> String {
        let offer = if self.offers_h2c() { ", offering h2c" } else { "" };
        format!("HTTP/{}{}{offer}", self.spoken, if self.tls { " over TLS" } else { "" })
    }
}

impl Stack {
    pub(crate) const ALL: [Self; 7] =
        [Self::Curl, Self::Requests, Self::Httpx, Self::Fetch, Self::Axios, Self::Go, Self::Java];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Requests => "Python requests",
            Self::Httpx => "Python httpx",
            Self::Fetch => "Node.js fetch",
            Self::Axios => "Node.js axios",
            Self::Go => "Go net/http",
            Self::Java => "Java HttpClient",
        }
    }

    pub(crate) fn protocols(self) -> Vec<Protocol> {
        let of = |tls, version, spoken| Protocol { tls, version, spoken };
        let mut all = vec![of(false, "1.1", "1.1"), of(true, "1.1", "1.1")];
        match self {
            // Neither speaks HTTP/2: requests at all, Node.js's fetch unless it is rebuilt around another dispatcher.
            Self::Requests | Self::Fetch => {}
            Self::Curl | Self::Httpx | Self::Axios => all.extend([of(false, "2", "2"), of(true, "2", "2")]),
            // Only over TLS.
            Self::Go => all.push(of(true, "2", "2")),
            // Offers an upgrade to h2c, which is not taken up.
            Self::Java => all.extend([of(false, "2", "1.1"), of(true, "2", "2")]),
        }
        all
    }

    /// The version that is installed.
    fn installed(self) -> Option<String> {
        let mut command = match self {
            Self::Curl => {
                with("bash", &["-c", "curl --version | grep -q HTTP2 && curl --version | cut -d' ' -f2"])
            }
            Self::Requests => with("python3", &["-c", "import requests; print(requests.__version__)"]),
            Self::Httpx => with("python3", &["-c", "import h2, httpx; print(httpx.__version__)"]),
            Self::Fetch => with("node", &["-p", "typeof fetch === 'function' && process.versions.node"]),
            Self::Axios => with("node", &["-p", "require('axios').VERSION"]),
            Self::Go => with("go", &["version"]),
            Self::Java => with("javac", &["-version"]),
        };
        let ran = command.output().ok().filter(|ran| ran.status.success())?;
        let said = String::from_utf8(ran.stdout).unwrap();
        said.split_whitespace().find_map(|word| {
            let word = word.trim_start_matches("go");
            word.starts_with(|c: char| c.is_ascii_digit()).then(|| word.to_owned())
        })
    }
}

/// A stack whose program is ready to run.
pub(crate) struct Client {
    pub(crate) stack: Stack,
    pub(crate) version: String,
    line: Vec<String>,
}

impl Client {
    /// `None` where the stack is not installed.
    pub(crate) fn build(stack: Stack, dir: &Path) -> Option<Self> {
        let version = stack.installed()?;
        let source = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxy/compat/clients").join(name);
            path.to_str().unwrap().to_owned()
        };
        let built = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let line = match stack {
            Stack::Curl => vec!["bash".to_owned(), source("curl.sh")],
            Stack::Requests => vec!["python3".to_owned(), source("python.py"), "requests".to_owned()],
            Stack::Httpx => vec!["python3".to_owned(), source("python.py"), "httpx".to_owned()],
            Stack::Fetch => vec!["node".to_owned(), source("node.js"), "fetch".to_owned()],
            Stack::Axios => vec!["node".to_owned(), source("node.js"), "axios".to_owned()],
            Stack::Go => {
                compile(with("go", &["build", "-o", &built("go-client"), &source("client.go")]));
                vec![built("go-client")]
            }
            Stack::Java => {
                compile(with("javac", &["-d", &built("java"), &source("Client.java")]));
                vec!["java".to_owned(), "-cp".to_owned(), built("java"), "Client".to_owned()]
            }
        };
        Some(Self { stack, version, line })
    }

    /// The command that goes through the steps of its standard input.
    pub(crate) fn command(&self, origin: &str, version: &str, authority: &Path) -> Command {
        let mut command = with(&self.line[0], &[]);
        command.args(&self.line[1..]).args([origin, version]);
        for name in ["CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"] {
            command.env(name, authority);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// A program that finds what `.ci/clients` installed, and no proxy between it and the address that it is told.
fn with(program: &str, arguments: &[&str]) -> Command {
    let tools = tools();
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command.env("NODE_PATH", tools.join("clients-node-1/node_modules"));
    command.env("PYTHONPATH", tools.join("clients-python-1")).env("PYTHONDONTWRITEBYTECODE", "1");
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command
}

fn tools() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("ci-tools")
}

fn compile(mut command: Command) {
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
}
