"Headless Chromium, driven over the DevTools protocol: what the tests of the site and of the explorer look with."
import contextlib
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from http.server import SimpleHTTPRequestHandler
from urllib.parse import urlsplit

import websocket

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
         "--disable-sync --disable-extensions --disable-dev-shm-usage --mute-audio --hide-scrollbars --remote-debugging-port=0 --remote-allow-origins=*").split()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


class Tab:
    "A page of headless Chromium, driven over the DevTools protocol."
    def __init__(self, endpoint):
        self.socket = websocket.create_connection(endpoint, timeout=60)
        self.ids, self.events = itertools.count(1), []
        for domain in ("Page", "Runtime", "Log", "Network"): self.call(f"{domain}.enable")

    def call(self, method, session=None, **params):
        "The result of a command, of the page or of a worker's session; events that arrive before it are kept."
        number = next(self.ids)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == number:
                if "error" in message: raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def js(self, expression):
        "The value of an expression; a promise is waited for."
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer: raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, expression, seconds=30):
        "Wait until an expression is true, and return it."
        end = time.monotonic() + seconds
        while not (value := self.js(expression)):
            if time.monotonic() > end: raise TimeoutError(f"not true after {seconds} s: {expression}")
            time.sleep(0.05)
        return value

    def open(self, url):
        "Load a page and wait until its scripts have run."
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")
        self.js("document.fonts.ready.then(() => true)")

    def view(self, width, height, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def of(self, method): return [e["params"] for e in self.events if e.get("method") == method]

    def complaints(self):
        "What the console shows as an error, exceptions, and files that did not load."
        return ([e["exceptionDetails"]["text"] for e in self.of("Runtime.exceptionThrown")]
                + [str(e["args"][:1]) for e in self.of("Runtime.consoleAPICalled") if e["type"] in ("error", "assert")]
                + [e["entry"]["text"] for e in self.of("Log.entryAdded") if e["entry"]["level"] == "error"]
                + [e["response"]["url"] for e in self.of("Network.responseReceived") if e["response"]["status"] >= 400]
                + [e["errorText"] for e in self.of("Network.loadingFailed")])

    def hosts(self):
        return {urlsplit(e["request"]["url"]).netloc for e in self.of("Network.requestWillBeSent") if not e["request"]["url"].startswith(("data:", "blob:"))}


def start_chromium(profile):
    "A running Chromium and the port it listens on."
    process = subprocess.Popen([CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    port = profile / "DevToolsActivePort"
    for _ in range(600):
        if port.exists() and port.read_text().strip(): return process, int(port.read_text().split()[0])
        if process.poll() is not None: break
        time.sleep(0.1)
    process.kill()
    raise RuntimeError(f"{CHROMIUM} did not start")


@contextlib.contextmanager
def open_tab(profile):
    "A tab of a Chromium of its own, which ends with it."
    process, port = start_chromium(profile)
    try:
        targets = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=60))
        yield Tab(next(t["webSocketDebuggerUrl"] for t in targets if t["type"] == "page"))
    finally:
        process.terminate()
        process.wait(30)
