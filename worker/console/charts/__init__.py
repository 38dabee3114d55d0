"""Charts as SVG, made on the server.

Rules: pure. Colours, line styles and fonts are CSS classes, so that themes, forced colours and
print work, and no inline style is needed. Every chart is an image to a screen reader, with one
sentence as its name; its figures stand in a table or in text beside it.
"""
