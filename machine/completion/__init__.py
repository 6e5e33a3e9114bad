"""Completion for bash, zsh and fish: scripts made from the commands themselves, and the quick answers that they ask
for while the user types."""
