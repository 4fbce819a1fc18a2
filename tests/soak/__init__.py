"""Kill everything at random under load, and see that nothing is lost and nothing is wrong."""
