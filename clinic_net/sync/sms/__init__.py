"""The most urgent lane when there is no link: what a gateway hands in."""
