"""The jobs of the demonstration, as plain files; the command that runs them is `sunward.cli`."""
