"""Looking at a pair: as a picture, as a film, and as a page that plays."""
