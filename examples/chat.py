"""Chat: one room, who is in it, and the last twenty messages. There is no login: a client may take any name."""

from flask import Flask, request
from flask_simulcast import Simulcast, client_input

app = Flask(__name__)
simulcast = Simulcast(app)
PAGE = """<!doctype html><title>Chat</title>
<p>In the room: <output></output></p> <ol></ol> <form><input name="text" autofocus></form>
<script>
  const [members, messages, form] = ["output", "ol", "form"].map((tag) => document.querySelector(tag));
  const user = new URLSearchParams(location.search).get("user") || prompt("Your name?") || "guest";
  const source = new EventSource("/stream?user=" + encodeURIComponent(user));
  const showMembers = async () => { members.textContent = await (await fetch("/members")).text(); };
  for (const type of ["connected", "join", "leave"]) source.addEventListener(type, showMembers);
  source.onmessage = ({ data }) => {
    messages.appendChild(document.createElement("li")).textContent = JSON.parse(data);
  };
  form.onsubmit = () => {
    fetch("/messages", { method: "POST", body: new URLSearchParams({ user, text: form.text.value }) });
    form.reset();
    return false;
  };
</script>"""
app.add_url_rule("/", "page", lambda: PAGE)


@app.get("/stream")
def stream():
    return simulcast.sse(["room", "presence:room"], member=request.args["user"], present=["room"], replay=20)


app.add_url_rule("/members", "members", lambda: ", ".join(m.member for m in simulcast.members("room")))


@app.post("/messages")
def speak():
    with client_input():  # a text that is too long is the client's mistake: a 4xx, not a 500
        simulcast.publish("room", f"{request.form['user']}: {request.form['text']}")
    return "", 204
