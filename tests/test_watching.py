"""A run watched over real HTTP: it changes, the page follows, and nothing in the folder is written."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from browsing import Tab, chromium
from made_run import answer, lines, make_run, results, write
from tiny_run import offline, times, write_recipe

from plad.errors import PladError
from plad.watching import SHARE, Watch, server_of

PLAN = ["prepare", "sft/teacher", "sft/student", "distill/plad", "evaluate/results"]


@pytest.fixture
def going_on(tmp_path: Path) -> Path:
    """A run in the middle of its student's distillation."""
    run = make_run(tmp_path / "run")
    shutil.rmtree(run / "evaluation")
    shutil.move(run / "models/plad", run / ".work/distill-plad-0123456789ab")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["tasks"] = dict.fromkeys(PLAN[:3], manifest["tasks"]["prepare"])
    write(run / "manifest.json", manifest | {"plan": PLAN, "doing": {"task": "distill/plad"}})
    return run


def finish(run: Path) -> None:
    """What the rest of the run writes."""
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["tasks"] |= dict.fromkeys(PLAN, manifest["tasks"]["prepare"])
    del manifest["doing"]
    for name in ("student", "plad"):
        lines(run / f"evaluation/{name}.jsonl", [answer(name, place) for place in range(12)])
    write(run / "evaluation/results.json", results())
    write(run / "manifest.json", manifest)


def still() -> float:
    """A clock by which nothing takes any time."""
    return 0.0


class Clock:
    """A second passes with every look at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@contextmanager
def served(run: Path) -> Iterator[ThreadingHTTPServer]:
    """A server in a thread of its own, with a page that is made anew at every change."""
    with server_of(Watch(run, clock=still)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(server: ThreadingHTTPServer, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str]:
    """Status and body."""
    line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    line.request(method, path, headers={"Host": host or f"127.0.0.1:{server.server_port}"})
    told = line.getresponse()
    return told.status, told.read().decode()


def test_a_run_in_its_middle_shows_stages_curves_and_pairs(going_on: Path) -> None:
    before = times(going_on)
    with served(going_on) as server:
        status, page = ask(server, "/")
        assert status == 200
        # Nobody holds the folder, so that what is under way was killed.
        assert "killed · distill/plad · 3 of 5 tasks done" in page
        assert re.findall(r'<li class="([\w-]+)"><span>([^<]*)', page) == [
            *(("done", name) for name in PLAN[:3]),
            ("killed", "distill/plad"),
            ("to-do", "evaluate/results"),
        ]
        # The last of 80 lines, each of ten steps.
        assert "step 800, loss 0.4" in page
        assert 'id="chart-margin-title"' in page
        assert "Pairs made" in page
        assert "not been evaluated yet" in page
        mark = ask(server, "/mark")[1]
        assert f'<meta name="plad-mark" content="{mark}">' in page
        finish(going_on)
        assert ask(server, "/mark")[1] != mark
        page = ask(server, "/")[1].replace("\u00a0", " ")
        assert "beats the initial student on 61.2 %" in page
        assert 'id="progress"' not in page
    written = {name for name, when in times(going_on).items() if before.get(name) != when}
    assert {name for name in written if not name.startswith("evaluation/")} == {"manifest.json"}


def test_results_of_an_earlier_recipe_are_not_shown(going_on: Path) -> None:
    write(going_on / "evaluation/results.json", results())
    assert "61.2" not in Watch(going_on).page()


def test_the_folder_is_held_by_a_process_that_works_on_it(going_on: Path) -> None:
    code = "import sys; from pathlib import Path; from plad.runs import Run\n"
    code += "with Run(Path(sys.argv[1])).lock(): print('held', flush=True); sys.stdin.read()"
    worker = subprocess.Popen(
        [sys.executable, "-c", code, str(going_on)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "held\n"
    watch = Watch(going_on, clock=still)
    assert "running · distill/plad" in watch.page()
    worker.communicate("")
    assert "killed · distill/plad" in watch.page()


def test_only_this_machine_reads_and_nobody_writes(going_on: Path) -> None:
    with served(going_on) as server:
        assert server.server_address[0] == "127.0.0.1"
        # A name of another site that points here.
        assert ask(server, "/", host="evil.example")[0] == 403
        assert ask(server, "/", host=f"localhost:{server.server_port}")[0] == 200
        assert ask(server, "/manifest.json")[0] == 404
        assert ask(server, "/../manifest.json")[0] == 404
        assert ask(server, "/", "POST")[0] == 501
        with pytest.raises(PladError, match="Leave out --port"):
            server_of(Watch(going_on), server.server_port)


def test_the_page_is_made_no_more_often_than_its_share_of_the_time(going_on: Path) -> None:
    clock = Clock()
    watch = Watch(going_on, clock=clock)
    mark = watch.mark()
    write(going_on / "pairs.json", {"prompts": 100, "made": 84, "dropped": {}})
    # By this clock a page takes one second, so that there is another one after 20, and each look takes one too.
    looks = next(n for n in range(1, 100) if watch.mark() != mark)
    assert looks == pytest.approx(1 / SHARE, abs=2)


def test_a_file_that_is_half_written_leaves_the_page_as_it_was(going_on: Path) -> None:
    watch = Watch(going_on, clock=still)
    page = watch.page()
    write(going_on / "pairs.json", "{")
    assert watch.page() == page
    write(going_on / "pairs.json", {"prompts": 100, "made": 84, "dropped": {}})
    assert watch.page() != page


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    write(tmp_path / "recipe.yaml", "seed: 1\n")
    page = Watch(tmp_path).page()
    assert "not begun" in page
    assert "not been evaluated yet" in page


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PladError, match=r"recipe\.yaml"):
        Watch(tmp_path)


def test_the_command_tells_its_address_and_ends_when_it_is_told_to(going_on: Path) -> None:
    command = [sys.executable, "-m", "plad", "watch", str(going_on), "--json"]
    watcher = subprocess.Popen(command, env=offline(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watcher.stdout is not None
    address = json.loads(watcher.stdout.readline())["address"]
    with urllib.request.urlopen(address) as page:
        assert "distill/plad" in page.read().decode()
    watcher.send_signal(signal.SIGINT)
    _, errors = watcher.communicate(timeout=60)
    assert (watcher.returncode, errors.strip()) == (0, "")


@pytest.mark.slow
def test_a_page_that_is_watched_follows_without_losing_its_place(going_on: Path) -> None:
    for name in ("student", "teacher"):
        lines(going_on / f"evaluation/{name}.jsonl", [answer(name, place) for place in range(12)])
    with chromium() as browser, served(going_on) as server:
        tab = Tab(browser)
        view = tab.page
        view.goto(f"http://127.0.0.1:{server.server_port}/")
        view.locator("[name=search]").fill("variant 3.")
        view.locator("#training summary").first.click()
        view.locator("[name=search]").evaluate("box => box.focus({ preventScroll: true })")
        top = view.locator("#training").bounding_box()["y"]
        assert view.evaluate("scrollY") > 0
        finish(going_on)
        view.wait_for_selector("#results")
        assert tab.shown() == ["p3"]
        assert view.locator("[name=search]").input_value() == "variant 3."
        assert view.evaluate("document.activeElement.name") == "search"
        assert view.locator("#training details").first.get_attribute("open") is not None
        # The results came in above it.
        assert view.locator("#training").bounding_box()["y"] == pytest.approx(top, abs=2)
        assert view.locator("[name=show]").count() == 1
        assert {url for url in tab.requests if not url.startswith(f"http://127.0.0.1:{server.server_port}/")} == set()
        assert tab.complaints == []


@pytest.mark.slow
def test_a_real_run_is_watched_from_another_process(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "plad", "run", str(write_recipe(tmp_path)), "--out", str(folder)]
    worker = subprocess.Popen(command, env=offline(), stdout=subprocess.DEVNULL)
    while not (folder / "manifest.json").is_file() and worker.poll() is None:
        time.sleep(0.2)
    seen = set()
    with served(folder) as server:
        while worker.poll() is None:
            page = ask(server, "/")[1]
            seen |= set(re.findall(r"running · ([\w/@-]+) · ", page))
            seen |= {"curve"} if 'id="chart-loss-title"' in page else set()
            time.sleep(0.5)
        assert worker.returncode == 0
        page = ask(server, "/")[1]
    # Which tasks are seen depends on how fast the machine is.
    assert len(seen) > 2
    assert "curve" in seen
    assert "finished · 20 of 20 tasks done" in page
    assert 'id="results"' in page
