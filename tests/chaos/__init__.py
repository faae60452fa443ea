"""The kill matrix: every named place in the code x every process that can be killed there x both databases."""
