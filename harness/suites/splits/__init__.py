"""Lists of images that are trained on or tested on, as files with a digest.

``gathering`` reads what is asked of which image, ``making`` divides the images, ``split`` is the list and its file,
``shares`` says what it achieved, ``suite`` is one side of a list as a suite.
"""
