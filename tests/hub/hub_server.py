"""A small hub on 127.0.0.1 for tests: listings and files in the Hugging Face hub's layout, with one fault at a time.

usage: hub_server.py ROOT LOG [FAULT...]
ROOT holds models/OWNER/NAME/FILES and datasets/OWNER/NAME/FILES; prints its port; one JSON object per request goes to LOG.
Files named *.gguf, *.safetensors and *.zip are large ones: listed with SHA-256 and redirected to /cdn/. FAULTs are NAME or NAME=VALUE:
  drop=N           the first N replies with bytes of large files break off in the middle
  drop-all         all of them break off after 1,000 bytes, and nothing more comes after the first ten
  truncate         they end early, and say so nowhere (no Content-Length)
  short-length     they say a smaller Content-Length than the file has, and send that
  wrong-total      replies to ranges name another size of the whole file
  other-range      replies to ranges start elsewhere
  no-ranges        ranges are ignored: status 200 and the whole file
  status=CODE:N[:SECONDS]  the first N requests for large files get this status, with Retry-After
  api-status=CODE:N[:SECONDS]  the same for listings
  other-host       large files are on another host (localhost instead of 127.0.0.1)
  loop             large files redirect to themselves
  expire=N         addresses in /cdn/ work N times, then answer 403
  corrupt=N        the first N replies with bytes of large files have a bit flipped (their entity tag stays)
  corrupt-small    so do all of small files
  change=N         after N replies with bytes of a large file it is another one, with another entity tag
  bad-path=PATH    the listing names PATH too
  bad-digest       the listing has digests that are none
  bad-commit       the listing's commit is a path
  slow=BYTES       at most this many bytes per second for large files
  tls=FILE         https, with the certificate and key in FILE
  private          only with the token "hf_secret"
  no-revision      the revision is unknown
"""
import hashlib
import http.server
import json
import os
import socketserver
import sys
import threading
import time
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".gguf", ".safetensors", ".zip")


def git_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub:
    def __init__(self, root, log, faults):
        self.lock = threading.Lock()
        self.log = open(log, "a", buffering=1)
        self.faults = dict(f.split("=", 1) if "=" in f else (f, "") for f in faults)
        self.counts = {}
        self.files = {}  # ("models", "OWNER/NAME") -> {path: bytes}
        for kind in ("models", "datasets"):
            base = os.path.join(root, kind)
            for directory, _, names in os.walk(base):
                for name in names:
                    relative = os.path.relpath(os.path.join(directory, name), base).split(os.sep)
                    repository = (kind, "/".join(relative[:2]))
                    with open(os.path.join(directory, name), "rb") as file:
                        self.files.setdefault(repository, {})["/".join(relative[2:])] = file.read()
        self.blobs = {hashlib.sha256(data).hexdigest(): data for files in self.files.values() for data in files.values()}

    def count(self, what):
        """How often this was called before with the same name."""
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1
            return self.counts[what] - 1

    def first(self, fault, default=0):
        return self.count(fault) < int(self.faults.get(fault) or default) if fault in self.faults else False


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub = None
    tls = False

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        hub = self.hub
        hub.log.write(json.dumps({"method": self.command, "path": self.path, "headers": dict(self.headers.items())}) + "\n")
        path = urllib.parse.urlsplit(self.path).path  # a proxy's requests name the whole address
        parts = [urllib.parse.unquote(part) for part in path.split("/")[1:]]
        if "private" in hub.faults and parts[0] != "cdn" and self.headers.get("Authorization") != "Bearer hf_secret":
            return self.refuse(401, "RepoNotFound")
        if parts[0] == "api":
            return self.answer_listing(parts[1], "/".join(parts[2:4]), parts)
        if parts[0] == "cdn":
            if "expire" in hub.faults and hub.count("expire " + self.path) >= int(hub.faults["expire"]):
                return self.refuse(403)
            return self.answer_large(parts[1], hub.blobs[parts[1]])
        kind = "models"
        if parts[0] == "datasets":
            kind, parts = "datasets", parts[1:]
        files = hub.files.get((kind, "/".join(parts[:2])))
        if files is None:
            return self.refuse(401, "RepoNotFound")
        data = files.get("/".join(parts[4:]))
        if parts[2] != "resolve" or data is None:
            return self.refuse(404, "EntryNotFound")
        if parts[-1].endswith(LARGE):
            return self.redirect_large(data)
        if "corrupt-small" in hub.faults:
            data = bytes([data[0] ^ 1]) + data[1:]
        self.reply(200, {"ETag": '"%s"' % git_id(data), "X-Repo-Commit": COMMIT}, data)

    def reply(self, status, headers, data=b""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status, code=None, seconds=None):
        headers = {}
        if code:
            headers["X-Error-Code"] = code
        if seconds is not None:
            headers["Retry-After"] = seconds
        self.reply(status, headers, b"no")

    def troubled(self, fault):
        """True where the fault says so, after refusing."""
        if fault not in self.hub.faults:
            return False
        code, count, *seconds = self.hub.faults[fault].split(":")
        if self.hub.count(fault) >= int(count):
            return False
        self.refuse(int(code), None, seconds[0] if seconds else None)
        return True

    def answer_listing(self, kind, repository, parts):
        hub = self.hub
        files = hub.files.get((kind, repository))
        if self.troubled("api-status"):
            return None
        if files is None:
            return self.refuse(401, "RepoNotFound")
        if "no-revision" in hub.faults or (len(parts) > 5 and parts[4] == "revision" and parts[5] not in ("main", "v1", "refs/pr/1", COMMIT)):
            return self.refuse(404, "RevisionNotFound")
        siblings = []
        for path, data in sorted(files.items()):
            entry = {"rfilename": path, "size": len(data), "blobId": git_id(data)}
            if path.endswith(LARGE):
                entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            if "bad-digest" in hub.faults:
                entry["blobId"] = "../../../escaped"
            siblings.append(entry)
        if "bad-path" in hub.faults:
            siblings.append({"rfilename": hub.faults["bad-path"], "size": 2, "blobId": git_id(b"no")})
        commit = "../../escaped" if "bad-commit" in hub.faults else COMMIT
        body = {"id": repository, "sha": commit, "private": False, "tags": [], "downloads": 0, "siblings": siblings}
        return self.reply(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def redirect_large(self, data):
        hub = self.hub
        if self.command == "GET" and self.troubled("status"):
            return
        digest = hashlib.sha256(data).hexdigest()
        host = "localhost" if "other-host" in hub.faults else "127.0.0.1"
        target = f"{'https' if self.tls else 'http'}://{host}:{self.server.server_port}/cdn/{digest}?signature=s3cr3t{hub.count('signature')}"
        if "loop" in hub.faults:
            target = self.path
        headers = {"Location": target, "X-Repo-Commit": COMMIT, "X-Linked-Etag": '"%s"' % digest, "X-Linked-Size": str(len(data))}
        self.reply(302, headers)

    def answer_large(self, digest, data):
        hub = self.hub
        faults = hub.faults
        tag = '"%s"' % digest
        number = hub.count("bytes") if self.command == "GET" else -1
        if "change" in faults and number >= int(faults["change"]):
            data, tag = bytes(reversed(data)), '"changed"'
        begin, end, status = 0, len(data), 200
        asked = self.headers.get("Range")
        if asked and "no-ranges" not in faults and self.headers.get("If-Range", tag) == tag:
            first, last = asked.removeprefix("bytes=").split("-")
            begin, end, status = int(first), min(len(data), int(last) + 1 if last else len(data)), 206
            if begin >= len(data):
                return self.refuse(416)
            if "other-range" in faults:
                begin, end = begin + 1, min(len(data), end + 1)
        piece = data[begin:end]
        if "corrupt" in faults and number < int(faults["corrupt"]):
            piece = bytes([piece[0] ^ 1]) + piece[1:]
        length = len(piece)
        if "short-length" in faults:
            length = max(1, length // 2)
            piece = piece[:length]
        self.send_response(status)
        self.send_header("ETag", tag)
        if "no-ranges" not in faults:
            self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data) + (7 if 'wrong-total' in faults else 0)}")
        if "truncate" in faults:
            piece = piece[: max(1, len(piece) // 2)]
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return None
        if hub.first("drop"):
            piece = piece[: len(piece) // 2]
            self.close_connection = True
        if "drop-all" in faults:
            piece = piece[:1000] if number < 10 else b""
            self.close_connection = True
        speed = int(faults.get("slow") or 0)
        step = max(1, speed // 50) if speed else len(piece) or 1
        try:
            for at in range(0, len(piece), step):
                self.wfile.write(piece[at : at + step])
                if speed:
                    time.sleep(0.02)
        except OSError:
            self.close_connection = True
        return None


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass


def main():
    root, log, *faults = sys.argv[1:]
    Handler.hub = Hub(root, log, faults)
    server = Server(("127.0.0.1", 0), Handler)
    if "tls" in Handler.hub.faults:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(Handler.hub.faults["tls"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Handler.tls = True
    print(server.server_port, flush=True)
    # Its parent holds the other end of standard input: when that goes, so does the server.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
