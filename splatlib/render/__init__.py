"""Renderers: what turns Gaussians and a camera into a picture, behind one protocol."""
