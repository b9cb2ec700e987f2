"""Weather forecasts in English with their German and French, drawn from a small grammar: millions of sentences with known translations.
Knows nothing of models, Spark or tables other than its own."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tutorials.splits import draws

# English: German, French.
DAYS = {
    "Monday": ("Montag", "lundi"),
    "Tuesday": ("Dienstag", "mardi"),
    "Wednesday": ("Mittwoch", "mercredi"),
    "Thursday": ("Donnerstag", "jeudi"),
    "Friday": ("Freitag", "vendredi"),
    "Saturday": ("Samstag", "samedi"),
    "Sunday": ("Sonntag", "dimanche"),
}
HOURS = {"": ("", ""), " morning": ("morgen", " matin"), " afternoon": ("nachmittag", " après-midi"), " evening": ("abend", " soir")}
REGIONS = {
    "in the north": ("im Norden", "dans le nord"),
    "in the south": ("im Süden", "dans le sud"),
    "in the east": ("im Osten", "dans l'est"),
    "in the west": ("im Westen", "dans l'ouest"),
    "on the coast": ("an der Küste", "sur la côte"),
    "on the islands": ("auf den Inseln", "sur les îles"),
    "in the mountains": ("in den Bergen", "en montagne"),
    "in the valleys": ("in den Tälern", "dans les vallées"),
}
ADJECTIVES = {
    "cold": ("kalt", "froid"),
    "warm": ("warm", "chaud"),
    "mild": ("mild", "doux"),
    "dry": ("trocken", "sec"),
    "wet": ("nass", "humide"),
    "calm": ("ruhig", "calme"),
    "grey": ("grau", "gris"),
    "sunny": ("sonnig", "ensoleillé"),
    "rainy": ("regnerisch", "pluvieux"),
    "windy": ("windig", "venteux"),
    "foggy": ("neblig", "brumeux"),
    "stormy": ("stürmisch", "orageux"),
}
SKIES = {
    "rain": ("Regen", "de la pluie"),
    "snow": ("Schnee", "de la neige"),
    "fog": ("Nebel", "du brouillard"),
    "frost": ("Frost", "du gel"),
    "hail": ("Hagel", "de la grêle"),
    "showers": ("Schauer", "des averses"),
}
FORCES = {"light": ("schwachen", "faible"), "fresh": ("frischen", "frais"), "strong": ("starken", "fort")}
WINDS = {"north": ("Norden", "du nord"), "south": ("Süden", "du sud"), "east": ("Osten", "de l'est"), "west": ("Westen", "de l'ouest")}
UNITS = {
    "two": ("zwei", "deux"),
    "three": ("drei", "trois"),
    "four": ("vier", "quatre"),
    "five": ("fünf", "cinq"),
    "six": ("sechs", "six"),
    "seven": ("sieben", "sept"),
    "eight": ("acht", "huit"),
    "nine": ("neun", "neuf"),
}
TENS = {"twenty": ("zwanzig", "vingt"), "thirty": ("dreißig", "trente")}
# German says the unit before the ten.
NUMBERS = {
    **UNITS,
    **{
        number: words
        for ten, (german, french) in TENS.items()
        for number, words in [
            (ten, (german, french)),
            *((f"{ten}-{unit}", (f"{ours}und{german}", f"{french}-{theirs}")) for unit, (ours, theirs) in UNITS.items()),
        ]
    },
}
DATIVE = {word: (f"{german}em", french) for word, (german, french) in ADJECTIVES.items()}
WORDS = {
    "day": DAYS,
    "hour": HOURS,
    "region": REGIONS,
    "a": ADJECTIVES,
    "b": ADJECTIVES,
    "kind": DATIVE,
    "sky": SKIES,
    "force": FORCES,
    "wind": WINDS,
    "n": NUMBERS,
    "m": NUMBERS,
}
# Each in English, German and French: German puts the verb second and the region before what is said of it.
SENTENCES = (
    (
        "On {day}{hour} it will be {a} and {b} {region}, with highs of {n} degrees.",
        "Am {day}{hour} wird es {region} {a} und {b} bei höchstens {n} Grad.",
        "Le {day}{hour}, il fera {a} et {b} {region}, avec un maximum de {n} degrés.",
    ),
    (
        "Expect {kind} weather {region} on {day}{hour}, with temperatures between {n} and {m} degrees.",
        "Am {day}{hour} ist {region} mit {kind} Wetter und Temperaturen zwischen {n} und {m} Grad zu rechnen.",
        "Attendez-vous à un temps {kind} {region} le {day}{hour}, avec des températures entre {n} et {m} degrés.",
    ),
    (
        "On {day}{hour} there will be {sky} and a {force} wind from the {wind} {region}.",
        "Am {day}{hour} gibt es {region} {sky} und {force} Wind aus {wind}.",
        "Le {day}{hour}, il y aura {sky} et un vent {force} {wind} {region}.",
    ),
)


@dataclass(frozen=True)
class Forecast:
    """One forecast in each of the languages."""

    english: str
    german: str
    french: str


def draw_forecast(chance: random.Random) -> Forecast:
    """One sentence with words drawn for its places."""
    english, german, french = chance.choice(SENTENCES)
    words = {place: chance.choice(list(known)) for place, known in WORDS.items()}
    # No word twice, and the lower number first.
    words["a"], words["b"] = chance.sample(list(ADJECTIVES), 2)
    words["n"], words["m"] = sorted(chance.sample(list(NUMBERS), 2), key=list(NUMBERS).index)
    translated: Sequence[dict[str, str]] = [{place: WORDS[place][word][i] for place, word in words.items()} for i in (0, 1)]
    return Forecast(english.format(**words), german.format(**translated[0]), french.format(**translated[1]))


def iter_forecasts(seed: int, *, held_out: bool) -> Iterator[Forecast]:
    """Forecasts without end, of one split."""
    return draws(draw_forecast, lambda each: [each.english], seed=seed, held_out=held_out)
