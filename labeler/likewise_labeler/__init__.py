"""The labelling app: widgets only; every decision it shows is made in `likewise`."""
