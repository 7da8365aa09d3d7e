"""A page that listens and publishes by Connect, or by gRPC-Web."""

from flask import Flask, Response
from flask_simulcast import Grant, Simulcast

app = Flask(__name__, static_folder="dist", static_url_path="")
app.config["SIMULCAST_HTTP2"] = True  # for gRPC, and for pages over TLS
simulcast = Simulcast(app)
app.register_blueprint(simulcast.rpc())


@simulcast.authorizer
def grant() -> Grant:
    return Grant("guest", subscribe="orders", publish="orders")  # an app of yours knows its users


@app.get("/")
def index() -> Response:
    return app.send_static_file("index.html")
