"""How the mind is made: stages 0 to 2, their data, their loop. Imports model/, never bot/."""
