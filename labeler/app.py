"""Entry for ``streamlit run labeler/app.py``; `likewise label` starts the same app."""

from likewise_labeler.app import main

main()
