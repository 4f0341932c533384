"""Results for people: figures (`figures`), tables (`tables`), and one self-contained page (`html`)."""
