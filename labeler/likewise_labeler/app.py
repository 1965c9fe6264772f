"""The server: Streamlit's app with our routes and the gate in front of both.

`likewise label` runs this file with ``streamlit run``, which finds ``app`` in it.
"""

from pathlib import Path

from starlette.middleware import Middleware
from streamlit.starlette import App

from likewise_labeler.gate import Gate
from likewise_labeler.life import with_parent
from likewise_labeler.routes import routes

app = App(
    Path(__file__).with_name("main.py"),
    routes=routes(),
    middleware=[Middleware(Gate)],
    lifespan=with_parent,
)
