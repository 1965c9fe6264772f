"""Files on disk to pixels in memory."""
