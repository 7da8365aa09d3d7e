"""A stand-in for a language model: it answers each question as a chat completion, word by word."""

import time

from flask import Flask, request
from flask_simulcast import Simulcast

app = Flask(__name__)
simulcast = Simulcast(app)


@app.post("/v1/chat/completions")
def complete():
    question = request.get_json()["messages"][-1]["content"]
    with simulcast.writer() as stream:
        for word in f"You asked: {question} I do not know.".split(" "):
            stream.write_event({"choices": [{"delta": {"content": f"{word} "}}]})
            time.sleep(0.2)
        stream.write_done()
    return stream.response
