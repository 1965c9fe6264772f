"""Long work behind the app: commands run in the background, watched, stopped and taken up again."""
