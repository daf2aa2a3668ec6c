"""Everything that touches the outside world: bytes, jobs, money, scanners. Plain Python: no Django, no tables, no secrets of the site."""
