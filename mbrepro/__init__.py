"""Fast localization, slow classification of mouse behaviour: the poster's study, reproduced and audited."""

__version__ = "0.1.0"
