"""Lists of images that are trained on or tested on, as files with a digest."""
