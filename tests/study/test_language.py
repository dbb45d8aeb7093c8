"""The rule that sorts captions, against captions sorted by hand; and what tables of captions hold."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrepro.data.recordings import TASK1_CLASSES
from mbrepro.demo.standin.phrases import REFUSALS, Geometry, detailed, nondescript
from mbrepro.embedding import EmbedderSettings, load_embedder
from mbrepro.errors import InputError
from mbrepro.study import language
from mbrepro.study.language import AGREEMENT, CATEGORIES, NAMED, agreement, category, named_behaviours, sentence_count
from tests.fixtures.tiny_checkpoint import write_checkpoint

N, D, R = CATEGORIES
LONG = (
    "The black mouse is more active than the white one and runs along the wall of the cage for most of the clip. The "
    "white mouse stays in the corner and hardly moves at all."
)

# (caption, category, behaviours it names), by hand. The first three are the poster's examples, in its words as far as
# it gives them.
SORTED = [
    ("In the video, the two mice are seen running around a small cage.", N, ""),
    (LONG, D, ""),
    ("I'm sorry, but I cannot provide an answer as there is no video or image available.", R, ""),
    # no response
    ("", R, ""),
    ("Mice.", R, ""),
    ("Two mice.", R, ""),
    ("There is no video provided, so I am unable to describe what the mice are doing.", R, ""),
    ("I don't see any video attached to your message. Could you please upload it?", R, ""),
    ("As an AI language model, I don't have the ability to watch videos.", R, ""),
    ("Please provide the video so that I can tell whether the mice are fighting.", R, ""),
    ("I am unable to view the footage. If the mice are mounting each other, please say so.", R, ""),
    ("I can't assist with describing content that may be inappropriate.", R, ""),
    ("Sorry, but I can't help with that request.", R, ""),
    ("The image is not provided in the question.", R, ""),
    ("There are no images in this conversation that show what the two mice might be doing.", R, ""),
    # absence of something other than the video is an answer
    ("There is no fighting in this video.", N, ""),
    ("There is no sign of aggression between the two mice.", N, ""),
    ("The mice do not move.", N, ""),
    ("The white mouse cannot get away from the black mouse.", N, ""),
    ("There are no mice in the cage.", N, ""),
    ("The mouse is not able to climb the wall.", N, ""),
    # named behaviours, Task 1
    ("The mouse attacks.", N, "attack"),
    ("The black mouse attacks the white mouse.", N, "attack"),
    ("The two mice are fighting with each other.", N, "attack"),
    ("One mouse is biting the other mouse's tail.", N, "attack"),
    ("The mice fought, then rested.", N, "attack"),
    ("The two mice are sniffing each other.", N, "investigation"),
    ("The black mouse is investigating the white mouse.", N, "investigation"),
    ("They are exploring each other in a cage.", N, "investigation"),
    ("The black mouse is mounting the white mouse.", N, "mount"),
    ("The two mice are mating.", N, "mount"),
    ("One mouse climbs on top of the other mouse.", N, "mount"),
    ("The mice are engaged in a sexual behaviour known as copulation.", N, "mount"),
    ("The black mouse sniffs the white mouse and then attacks it.", N, "attack investigation"),
    # words that look like a behaviour
    ("The two mice are exploring their cage.", N, ""),
    ("The mouse investigates a corner of the cage.", N, ""),
    ("Both mice sniff the bedding.", N, ""),
    ("The scene is filmed with a mounting camera above the arena.", N, ""),
    ("A camera mounted on the ceiling shows two mice.", N, ""),
    ("The mouse sits on a mountain of bedding.", N, ""),
    ("A large amount of food lies at the rear of the cage.", N, ""),
    ("The mouse bites the bars of the cage.", N, ""),
    ("The mice are a bit apart.", N, ""),
    ("The mouse climbs on top of the food container.", N, ""),
    # negation
    ("The two mice are not fighting.", N, ""),
    ("The mice aren't attacking each other.", N, ""),
    ("Neither mouse attacks or mounts the other one.", N, ""),
    ("The mice are not fighting, but sniffing each other.", N, "investigation"),
    ("They are not mounting; they are fighting.", N, "attack"),
    ("They do not fight, they sniff each other.", N, "investigation"),
    ("The mice walk about without attacking each other.", N, ""),
    ("No biting, mounting or sniffing can be seen.", N, ""),
    ("It is unclear whether the two mice are fighting or playing.", N, ""),
    ("The black mouse not only sniffs the white mouse but also mounts it.", N, "investigation mount"),
    ("Mounting is not seen in this video.", N, ""),
    ("The attacking mouse is not moving fast.", N, "attack"),
    ("Their behaviour is non-aggressive.", N, ""),
    ("The mice sit together rather than fighting.", N, ""),
    ("There is no fighting and the two mice sniff each other.", N, "investigation"),
    ("The white mouse avoids mounting.", N, ""),
    # Task 3
    ("The black mouse approaches the white mouse.", N, ""),
    ("The white mouse walks towards the black mouse.", N, ""),
    ("The mouse walks towards the wall.", N, ""),
    ("The white mouse moves away from the black one.", N, ""),
    ("The black mouse is grooming itself.", N, ""),
    ("The mouse licks its fur.", N, ""),
    ("The black mouse tries to mount the white mouse.", N, "mount"),
    ("The black mouse mounts the white mouse and intromission follows.", N, "mount"),
    ("The black mouse sniffs the face of the white mouse.", N, "investigation"),
    ("The white mouse rears against the wall.", N, ""),
    ("The black mouse rears against the wall.", N, ""),
    # length and sentences
    (
        "The video shows two mice in a cage, one of them black and the other one white, and both of them walk about in "
        "it from one corner to the other all the time",
        N,
        "",
    ),
    ("They run. They stop. They run again.", N, ""),
    (
        "The video shows two mice. 1. **Black mouse**: it runs along the walls of the cage for most of the clip.\n"
        "2. **White mouse**: it sits in a corner and does not move at all while the",
        D,
        "",
    ),
    (
        "The black mouse follows the white mouse through the whole cage and attacks it twice, biting its back. The "
        "white mouse tries to escape but does not bite back, and afterwards they sit apart.",
        D,
        "attack",
    ),
    (LONG + " I'm sorry, but I cannot tell more about this part of the clip, as the video is short. " * 2, R, ""),
    (LONG + " " + LONG + " I'm sorry, but I cannot tell more.", D, ""),
]

# Written before the rule was last changed: it then sorted 31 of these 34 and read the behaviours of 27 rightly.
SEEN = [
    ("The two mice are interacting with each other in a cage. One mouse is on top of the other, and they appear to be "
     "playing or fighting.", N, "mount attack"),
    ("In the video, the black mouse is seen chasing the white mouse around the cage.", N, ""),
    ("The two mice in the video are engaged in a playful interaction. The black mouse is seen chasing the white mouse, "
     "while the white mouse is trying to escape. They are moving around in a small, enclosed space, and their "
     "movements are quick and agile.", D, ""),
    ("The two mice appear to be engaged in a social interaction, possibly grooming or sniffing each other.", N,
     "investigation"),
    ("The video does not contain enough information to determine what the mice are doing.", R, ""),
    ("I'm sorry, I can't determine what the mice are doing from the frames, as they're too blurry.", R, ""),
    ("The white mouse is lying on its back while the black mouse stands over it and bites its belly.", N, "attack"),
    ("The black mouse is nosing the white mouse's genital area.", N, "investigation"),
    ("It looks like the mice are having a fight: the black one jumps at the white one and rolls over it.", N, "attack"),
    ("The mice are standing next to each other. They aren't doing anything in particular.", N, ""),
    ("The black mouse is following the white mouse closely with its nose near the tail of the white mouse.", N, ""),
    ("Two mice are in a cage. The white one is eating, and the black one is sniffing the floor.", N, ""),
    ("The black mouse grips the white mouse from behind and thrusts its pelvis.", N, "mount"),
    ("The mice show no aggressive behavior. Instead, they explore the environment and sniff each other.", N,
     "investigation"),
    ("Based on the frames provided, it's not clear whether this is mounting or attacking behavior.", N, ""),
    ("The image shows two mice inside a transparent enclosure with bedding material. The black mouse is positioned "
     "near the center, and the white mouse is located in the upper right corner. There is no visible interaction "
     "between them.", D, ""),
    ("The resident mouse attacks the intruder.", N, "attack"),
    ("The video shows two mice, one black and one white, running and jumping in a cage. The mice seem to be playing "
     "with each other, and their interaction is energetic and lively. The black mouse is seen jumping on the white "
     "mouse's back.", D, ""),
    ("The mouse stands on its hind legs.", N, ""),
    ("The white mouse is standing on its hind legs, leaning against the wall.", N, ""),
    ("The black mouse moves toward the white mouse, sniffs it, and then turns away.", N,
     "investigation"),
    ("Unfortunately, no video was included with your question.", R, ""),
    ("The black mouse attempts to mount the white mouse, but the white mouse runs away.", N,
     "mount"),
    ("They are cuddling.", N, ""),
    ("The two mice are in close contact, with their noses touching.", N, "investigation"),
    ("The black mouse cleans itself in a corner.", N, ""),
    ("The black mouse is grooming the white mouse.", N, ""),
    ("There's no indication of an attack, a fight or any mounting behaviour in these frames.", N, ""),
    ("The black mouse is mounted on the white mouse.", N, "mount"),
    ("The mice never stop fighting.", N, "attack"),
    ("The two mice are seen in a cage with a camera that is mounted above it.", N, ""),
    ("The mice are walking around in the cage and sniffing the bedding and each other.", N, "investigation"),
    ("The video is of two mice. I cannot see any aggression.", N, ""),
    ("[video]", R, ""),
]  # fmt: skip

# Written after the rule was last changed, in the manner of the released models, and not used to change it.
HELD_OUT = [
    ("The two mice are running around in circles.", N, ""),
    ("In this video, a black mouse and a white mouse can be seen in a plastic cage. The black mouse repeatedly sniffs "
     "the white mouse's hindquarters while the white mouse stays still.", D, "investigation"),
    ("The mice are having sex.", N, "mount"),
    ("The black mouse pins the white mouse to the floor and bites it.", N, "attack"),
    ("I apologize, but I don't have the ability to view videos.", R, ""),
    ("I can't tell what they're doing because the video doesn't load.", R, ""),
    ("There isn't a video in your message.", R, ""),
    ("The mice ignore each other.", N, ""),
    ("The white mouse is running away from the black mouse, which is attacking it.", N, "attack"),
    ("Both animals are engaged in anogenital sniffing.", N, "investigation"),
    ("The white mouse does not seem to be interested in mating, fighting, or being sniffed.", N, ""),
    ("One of the mice seems to be dominant and mounts the other several times. The other one squeaks and tries to get "
     "free, and after a few seconds they part.", D, "mount"),
    ("The black mouse has its nose in the white mouse's fur.", N, "investigation"),
    ("They're resting side by side in the nest.", N, ""),
    ("The two mice are sparring, standing upright and boxing with their front paws.", N, "attack"),
    ("The black mouse circles the white mouse, then suddenly lunges at it.", N, "attack"),
    ("The black mouse is smelling the ground.", N, ""),
    ("It's a video of two mice in a cage.", N, ""),
    ("The mice explore.", N, ""),
    ("There seems to be no attack but rather an investigation of the intruder by the resident.", N, "investigation"),
    ("Without more context, it is hard to say what the mice are doing.", R, ""),
    ("The mouse on the left is mounting the one on the right.", N, "mount"),
    ("The white mouse grooms its face while the black mouse approaches from behind.", N, ""),
    ("The mice are scratching and digging in the bedding.", N, ""),
    ("None of the mice is aggressive.", N, ""),
    ("The mice display affiliative behaviors such as allogrooming.", N, ""),
    ("The black mouse tries to bite the white mouse.", N, "attack"),
    ("The black mouse appears to be courting the white mouse.", N, ""),
    ("I cannot engage in describing this content.", R, ""),
    ("The two mice are fighting over a piece of food.", N, "attack"),
    ("The mice are facing each other, nose to nose, and one of them rears.", N, "investigation"),
    ("The video is black.", N, ""),
]  # fmt: skip

# Where the rule is known to be wrong: (caption, what a person says it names).
MISREAD = [
    ("The mouse that is not moving is attacked by the other.", "attack"),  # a negation in a relative clause
    ("He stands over her and holds her down.", "mount"),  # a behaviour described without any of its words
    ("The mice are play-fighting.", ""),  # play, or attack? the rule says attack
    ("Les deux souris se battent.", "attack"),  # not English
]


def test_enough_captions_were_sorted_by_hand():
    assert len(SORTED) >= 75
    assert {kind for _, kind, _ in SORTED} == set(CATEGORIES)
    assert {name for *_, names in SORTED for name in names.split()} == set(NAMED)
    assert set(NAMED) == {*TASK1_CLASSES} - {"other"}


@pytest.mark.parametrize(("caption", "kind", "names"), SORTED)
def test_rule_agrees_with_the_hand(caption, kind, names):
    assert category(caption) == kind
    assert set(named_behaviours(caption)) == set(names.split())


def read_rightly(captions):
    kinds = sum(category(caption) == kind for caption, kind, _ in captions)
    names = sum(set(named_behaviours(caption)) == set(by_hand.split()) for caption, _, by_hand in captions)
    return kinds, names


def test_accuracy_on_captions_that_the_rule_was_not_made_for():
    """Counts, so that a change of the rule shows; the mistakes are listed in the comment below."""
    assert (read_rightly(SEEN), len(SEEN)) == ((33, 32), 34)
    assert (read_rightly(HELD_OUT), len(HELD_OUT)) == ((31, 29), 32)
    found = [(set(named_behaviours(caption)), set(by_hand.split())) for caption, _, by_hand in HELD_OUT]
    right, wrong, missed = (
        sum(map(len, sets)) for sets in zip(*[(a & b, a - b, b - a) for a, b in found], strict=True)
    )
    assert (right, wrong, missed) == (11, 0, 3)


# Misread of HELD_OUT: "having sex", "its nose in the fur", "sparring" name nothing; "Without more
# context, it is hard to say" is no refusal. Of SEEN: a person finds 27 general words nondescript, the rule's count says
# detailed; "never stop fighting"; "thrusts its pelvis".


def test_known_mistakes_are_still_made():
    """If one of these is read rightly now, move it up."""
    for caption, by_hand in MISREAD:
        assert set(named_behaviours(caption)) != set(by_hand.split()), caption


def test_captions_of_the_stand_in_are_sorted_into_the_style_they_were_made_in():
    geometry = Geometry(0.1, 0.2, (0.01, 0.3), (20.0, 150.0), 10.0, 0.05)
    made = {N: [nondescript(geometry)], D: [detailed(geometry)], R: REFUSALS}
    for kind, captions in made.items():
        assert {category(caption) for caption in captions} == {kind}
        assert not any(named_behaviours(caption) for caption in captions)


def test_sentences_by_hand():
    counts = {"": 0, "One": 1, "One.": 1, "One. Two": 2, "At 3.5 cm. Two!": 2, "E.g. one, i.e. this. Two?": 2, "...": 0}
    assert {text: sentence_count(text) for text in counts} == counts


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400))
def test_any_text_has_one_category_and_negating_all_of_it_names_nothing(text):
    assert category(text) in CATEGORIES
    assert set(named_behaviours(text)) <= set(NAMED)


def test_agreement_by_hand():
    alone, among, another, none = AGREEMENT
    assert agreement(["attack"], "attack") == alone
    assert agreement(["attack", "approach"], "attack") == alone  # approach is no class of Task 1
    assert agreement(["attack", "mount"], "attack") == among
    assert agreement(["mount"], "attack") == another
    assert agreement([], "attack") == none
    assert agreement([], "other") == alone and agreement(["mount"], "other") == another
    assert agreement(["groom"], "groom", ("other", "groom")) == alone


def captioned():
    return pd.DataFrame(
        {
            "recording": "task1/mouse001", "start": [0, 10, 20, 30], "seconds": 0.5, "split": "test",
            "class": ["attack", "attack", "mount", "other"],
            "caption": ["<script>alert(1)</script> & more words", "b", "c", "d"],
            "category": ["nondescript", "detailed", "detailed", "nondescript"],
            "names": [("attack",), (), ("attack", "mount"), ("attack",)],
            "agreement": ["names it alone", "names none", "names it among others", "names another"],
        }
    )  # fmt: skip


def test_shares_and_naming_by_hand():
    made = language.shares(captioned(), "class")
    assert made.loc["attack"].to_dict() == {"nondescript": 0.5, "detailed": 0.5, "no response": 0, "clips": 2}
    assert language.shares(captioned(), "class", "agreement").loc["mount", "names it among others"] == 1
    named = language.naming(captioned(), TASK1_CLASSES)
    assert named.loc["attack"].tolist() == [2, 0.5, 2, 1.0]
    assert named.loc["mount"].tolist() == [1, 1.0, 3, 0.0]
    assert named.loc["investigation", "clips of it"] == 0 and np.isnan(named.loc["investigation", "of these name it"])


def test_words_that_tell_and_words_that_do_not():
    rows = [
        (s, c, f"the mice {c if c == 'mount' else 'sit'}") for s in ("train", "test") for c in ("mount", "attack")
    ] * 5
    frame = pd.DataFrame(rows, columns=["split", "class", "caption"])
    assert language.words_tell(frame) == {"words of the caption": 1.0, "chance": 0.5}
    assert language.words_tell(frame.assign(caption="the mice"))["words of the caption"] == 0.5
    assert np.isnan(language.words_tell(frame.assign(caption=""))["words of the caption"])
    assert np.isnan(language.words_tell(frame[frame["class"] == "mount"])["words of the caption"])


def test_words_are_read_at_each_length_apart():
    rows = [("train", "mount", "a"), ("train", "attack", "b"), ("test", "mount", "a"), ("test", "attack", "a")] * 3
    frame = pd.DataFrame(rows, columns=["split", "class", "caption"]).assign(seconds=2.0)
    both = pd.concat([frame, frame.assign(seconds=1.0, caption="a")])
    assert language.words_by_length(both).to_dict("index") == {
        "1 s": {"words of the caption": 0.5, "chance": 0.5}, "2 s": {"words of the caption": 0.5, "chance": 0.5},
    }  # fmt: skip
    told = language.words_by_length(both.assign(caption=both["class"].where(both["seconds"] == 2.0, "a")))
    assert told["words of the caption"].to_dict() == {"1 s": 0.5, "2 s": 1.0}


def test_no_way_of_giving_no_video_is_taken_without_a_word(tmp_path):
    embedder = load_embedder(EmbedderSettings(model=str(write_checkpoint(tmp_path)), max_pixels=56 * 56))
    made = language.refused(embedder)
    assert len(made) == 5 and made["answer"].str.len().min() > 20
    silent = SimpleNamespace(caption=lambda clips, fps: ["nothing"] * len(clips))
    with pytest.raises(InputError, match="a clip without frames was taken without a word"):
        language.refused(silent)
