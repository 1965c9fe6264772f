"""Files on disk to pixels in memory."""

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it asks the network at import otherwise
