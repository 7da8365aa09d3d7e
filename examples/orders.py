"""Orders: a page that shows each order as it comes, and the last twenty to a newcomer."""

from flask import Flask, request
from flask_simulcast import Simulcast, client_input

app = Flask(__name__)
simulcast = Simulcast(app)

PAGE = """<!doctype html>
<title>Orders</title>
<ul></ul>
<script>
  const show = (event) => {
    const { id, state } = JSON.parse(event.data);
    document.querySelector("ul").appendChild(document.createElement("li")).textContent = `${id}: ${state}`;
  };
  new EventSource("/orders/stream").addEventListener("order", show);
</script>"""


@app.get("/")
def page():
    return PAGE


@app.get("/orders/stream")
def stream():
    return simulcast.sse("orders", replay=20)


@app.post("/orders")
def create():
    with client_input():  # what can't be published is the client's mistake: a 4xx, not a 500
        simulcast.publish("orders", {"id": request.form["id"], "state": "new"}, type="order")
    return "", 201
