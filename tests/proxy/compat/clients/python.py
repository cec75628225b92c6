"""requests and httpx. Usage: python.py requests|httpx ORIGIN 1.1|2 < steps; see ../script.rs for both formats."""
import base64, gzip, hashlib, json, sys

SHOWN = ["content-type", "content-length", "content-encoding", "retry-after", "www-authenticate"]
VERSIONS = {10: "1.0", 11: "1.1", 20: "2"}


def requests_client(version):
    import requests

    session = requests.Session()

    def send(method, url, stream, **rest):
        answer = session.request(method, url, stream=stream, timeout=30, allow_redirects=False, **rest)
        body = b"".join(answer.iter_content(4096)) if stream else answer.content
        return answer.status_code, VERSIONS[answer.raw.version], answer.headers, body

    return send


def httpx_client(version):
    import httpx, ssl

    client = httpx.Client(http1=version == "1.1", http2=version == "2", timeout=30, verify=ssl.create_default_context())

    def send(method, url, stream, data=None, **rest):
        # httpx calls a form `data` and bytes `content`.
        rest["data" if isinstance(data, dict) else "content"] = data
        if not stream:
            answer = client.request(method, url, **rest)
            return answer.status_code, answer.http_version.removeprefix("HTTP/"), answer.headers, answer.content
        with client.stream(method, url, **rest) as answer:
            body = b"".join(answer.iter_bytes(4096))
            return answer.status_code, answer.http_version.removeprefix("HTTP/"), answer.headers, body

    return send


def body_of(kind, text, flags, rest):
    if kind == "json":
        rest["json"] = json.loads(text)
    elif kind == "form":
        rest["data"] = dict(field.split("=", 1) for field in text.split("&"))
    elif kind in ("bytes", "pad"):
        size, _, start = text.partition(":")
        data = start.encode().ljust(int(size)) if kind == "pad" else bytes(i % 251 for i in range(int(size)))
        if "gzip" in flags:
            data = gzip.compress(data)
            rest["headers"]["content-encoding"] = "gzip"
        # A generator is sent in chunks.
        rest["data"] = (data[at : at + 65536] for at in range(0, len(data), 65536)) if "chunked" in flags else data


def show(name, answer):
    status, version, headers, body = answer
    shown = "|".join(f"{key}: {headers[key]}" for key in SHOWN if key in headers)
    long = len(body) > 16384
    content = f"sha256:{len(body)}:{hashlib.sha256(body).hexdigest()}" if long else base64.b64encode(body).decode()
    print(name, status, version, shown or "-", content or "-", sep="\t")


def main():
    stack, origin, version = sys.argv[1:]
    send = {"requests": requests_client, "httpx": httpx_client}[stack](version)
    known = {}

    def fill(text):
        for key, value in known.items():
            text = text.replace("{%s}" % key, value)
        return text

    for line in sys.stdin:
        name, flags, method, path, query, body = line.rstrip("\n").split("\t")
        flags = flags.split(",")
        params = [] if query == "-" else [tuple(field.split("=", 1)) for field in fill(query).split("&")]
        while True:
            rest = {"headers": {}}
            if "token" in known and "bare" not in flags:
                rest["headers"]["Authorization"] = f"Bearer {known['token']}"
            if "expect" in flags:
                rest["headers"]["Expect"] = "100-continue"
            body_of(*body.partition(":")[::2], flags, rest)
            # Without parameters the argument stays away, as in a program that has none.
            if params:
                rest["params"] = params
            try:
                answer = send(method, origin + fill(path), "stream" in flags, **rest)
            except Exception as error:
                print(name, "error", "-", "-", base64.b64encode(repr(error).encode()).decode(), sep="\t")
                break
            show(name, answer)
            record = json.loads(answer[3]) if "save" in flags or "pages" in flags else {}
            if "save" in flags:
                known |= {"token": record["access_token"]} if "access_token" in record else {k: record[k] for k in ("id", "created_at")}
            if "twenty" in flags:
                for _ in range(19):
                    show(name, send(method, origin + path, False, **rest))
            if not record.get("next_page_cursor"):
                break
            params = [field for field in params if field[0] != "page_cursor"] + [("page_cursor", record["next_page_cursor"])]


main()
