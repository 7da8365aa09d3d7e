"""docs/from-flask-socketio.md: our side of its table runs, and two pages in a room hear each other, in a real browser."""

from __future__ import annotations

from pathlib import Path

from app.flask_simulcast import Publisher
from tests.docs.page import Page
from tests.docs.reader import app_reader
from tests.docs.replacements import run_lines
from tests.tools.chromium import open_chromium

PAGE = Page("docs/from-flask-socketio.md")
APP = PAGE.take("From Flask-SocketIO", "python")
CLIENT = PAGE.take("From Flask-SocketIO", "js")
SHOWS = "window.shown = []; const show = (said) => { shown.push(said.text); };"


def test_our_lines_of_the_table_run(tmp_path: Path) -> None:
    names = {"url": f"sqlite:///{tmp_path}/simulcast.db", "user": "ann", "Publisher": Publisher}
    assert run_lines(PAGE.path, names) == 7


def test_two_pages_in_a_room_hear_each_other_and_a_third_gets_what_was_said(tmp_path: Path) -> None:
    blank = '\n@app.get("/")\ndef blank():\n    return "<!doctype html><title>room</title>"\n'
    with (
        app_reader(tmp_path, app=APP.text + blank) as reader,
        reader.serving("gunicorn -k gevent app:app") as server,
        open_chromium(tmp_path / "chromium") as browser,
    ):
        pages = [browser.open(f"http://127.0.0.1:{server.port}/") for _ in range(3)]
        for page in pages[:2]:
            page.evaluate(f"(() => {{ {SHOWS} {CLIENT.text} window.say = say; window.room = room; }})()")
            page.wait_for("room.readyState === 1")
        pages[0].evaluate("say('hello').then((answer) => answer.status)")
        for page in pages[:2]:
            page.wait_for("shown.length === 1 && shown[0] === 'hello'")
        pages[2].evaluate(f"(() => {{ {SHOWS} {CLIENT.text} }})()")
        pages[2].wait_for("shown[0] === 'hello'")
