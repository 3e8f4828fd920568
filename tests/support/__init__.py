"""What the sync cases stand on: the world they run in (`world`), scripted peers (`peer`), and how to see leaks (`leaks`)."""
