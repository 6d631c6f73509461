"""From a painting to a pack of frames, offline.

"Eye widths" is the unit of most lengths here: the distance between the corners of an eye. A comment on a
constant ends with its origin: "by eye" means chosen while looking at rendered close-ups, without a
measurement; a number of portraits or paintings, chosen on the close-ups of that many.
"""
