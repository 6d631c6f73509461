"""The simulated gallery: photographed people walk through a drawn room, with exact truth."""
