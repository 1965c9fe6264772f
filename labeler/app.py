"""Entry for ``streamlit run labeler/app.py``; `likewise label` starts the same app."""

from pathlib import Path

from starlette.middleware import Middleware
from streamlit.starlette import App

import likewise_labeler
from likewise_labeler.gate import Gate
from likewise_labeler.routes import routes

app = App(
    Path(likewise_labeler.__file__).with_name("main.py"),
    routes=routes(),
    middleware=[Middleware(Gate)],
)
