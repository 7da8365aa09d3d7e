"""Tokens of a language model: each goes to the browser as it comes. A client that leaves ends the request to the model."""

import os

import httpx
from flask import Flask, request
from flask_simulcast import Simulcast
from httpx_sse import EventSource

MODEL_URL = os.environ["MODEL_URL"]

app = Flask(__name__)
simulcast = Simulcast(app)


@app.post("/ask")
def ask():
    body = {"stream": True, "messages": [{"role": "user", "content": request.form["question"]}]}
    with simulcast.writer() as stream:
        stream.start_heartbeat(15)  # the model might think for a while before its first token
        with httpx.stream("POST", MODEL_URL, json=body, timeout=300) as model:
            model.raise_for_status()
            for event in EventSource(model).iter_sse():
                if event.data == "[DONE]":
                    break
                (choice,) = event.json()["choices"]
                stream.write_event({"token": choice["delta"].get("content", "")})
        stream.write_done()
    return stream.response
