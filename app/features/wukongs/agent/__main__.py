"""``python -m app.features.wukongs.agent --name web-7 --url https://simulcast.example``."""

from .command import agent

agent(prog_name="python -m app.features.wukongs.agent")
