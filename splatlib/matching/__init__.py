"""What stages share about pictures of the same thing: their order, descriptors, likeness, two-view geometry."""
