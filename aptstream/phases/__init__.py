"""Both phases of a specimen, species by species: their distribution maps, who sits on which plane, and how ordered."""
