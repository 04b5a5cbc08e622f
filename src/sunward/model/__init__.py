"""Every record that crosses a boundary: immutable, typed, encoded one way (`codec`)."""
