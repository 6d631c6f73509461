"""From a painting to a pack of frames, offline.

"Eye widths" is the unit of most lengths here: the distance between the corners of an eye. "By eye", as the
origin of a constant, means chosen while looking at rendered close-ups, without a measurement.
"""
