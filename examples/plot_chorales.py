"""
============================================
Four bars in four voices, drawn by a decoder
============================================

A variational autoencoder learns stretches of Bach's chorales, four bars long and brought to the
same key. Each eighth of each voice is a choice among pitches, so the likelihood is categorical,
and convolutions over time have the pitches of the voices as their channels. Codes drawn from the
prior become music that nobody wrote, and codes on the way from one stretch to another lead there
step by step: all in four voices that move, and go together, much as Bach's do.

How much that is so is counted: pairs of voices that sound together as a dissonance (seconds,
sevenths and the tritone), notes that are held on from one eighth to the next, and notes in the
scale of the key, beside chorales that were not learned and beside notes drawn one by one, as often
as each voice sings them. These are in the scale as well, but go neither together nor on.

Run it with ``python examples/plot_chorales.py [folder]``; the pictures go to ``examples/output``
unless a folder is given. It needs the chorales, see `skae.datasets.fetch_jsb_chorales`, and ends
without them.
"""

import sys
import warnings
from itertools import combinations
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skae import VariationalAutoencoder
from skae.datasets import fetch_jsb_chorales
from skae.layers import Conv1d
from skae.outputs import Categorical

N_STEPS = 32  # eighths
LOWEST, N_PITCHES = 36, 46
SCALE = np.isin(np.arange(12), [0, 2, 4, 5, 7, 9, 11])  # C major, which A minor shares
DISSONANT = [1, 2, 6, 10, 11]
VOICES = {"soprano": "#0072B2", "alto": "#009E73", "tenor": "#E69F00", "bass": "#D55E00"}


def in_one_key(notes):
    """Return a chorale moved by up to six semitones, so that most notes are in the scale."""
    moves = np.arange(-6, 6)
    in_scale = [SCALE[(notes[notes >= 0] + move) % 12].mean() for move in moves]
    return np.where(notes >= 0, notes + moves[np.argmax(in_scale)], -1)


def load_stretches(subset, every):
    """Return stretches that begin every so many eighths, of shape (n, N_STEPS, 4)."""
    chorales = fetch_jsb_chorales(subset=subset)
    stretches = []
    for number in range(len(chorales.lengths)):
        notes = in_one_key(chorales.data[chorales.chorale == number][::2].astype(int))
        starts = range(0, len(notes) - N_STEPS + 1, every)
        stretches += [notes[start : start + N_STEPS] for start in starts]
    stretches = np.array(stretches)
    sung = (stretches >= LOWEST) & (stretches < LOWEST + N_PITCHES)
    return stretches[sung.all(axis=(1, 2))]


def to_channels(stretches):
    """Return indicators of shape (n, N_PITCHES * 4, N_STEPS): each pitch of each voice."""
    chosen = np.eye(N_PITCHES, dtype="float32")[stretches - LOWEST]
    return chosen.transpose(0, 3, 2, 1).reshape(len(stretches), -1, N_STEPS)


def to_notes(rows):
    """Return the most probable pitch of each voice in each step, of shape (n, N_STEPS, 4)."""
    by_pitch = rows.reshape(len(rows), N_PITCHES, 4, N_STEPS)
    return by_pitch.argmax(axis=1).transpose(0, 2, 1) + LOWEST


def describe(notes):
    """Return the shares of notes in the scale and of dissonant pairs, and of notes that stay."""
    pairs = [(notes[..., a] - notes[..., b]) % 12 for a, b in combinations(range(4), 2)]
    stays = (np.diff(notes, axis=1) == 0).mean()
    return SCALE[notes % 12].mean(), np.isin(pairs, DISSONANT).mean(), stays


def draw_roll(ax, notes, title):
    """Draw each voice as a line of bars, one for each note."""
    for voice, (name, colour) in enumerate(VOICES.items()):
        pitches = notes[:, voice]
        starts = np.flatnonzero(np.diff(pitches, prepend=-1))
        lengths = np.diff(starts, append=len(pitches))
        ax.barh(pitches[starts], lengths - 0.15, 0.9, starts, color=colour, label=name)
    ax.set_title(title, fontsize="medium")
    ax.set(xlim=(0, len(notes)), ylim=(LOWEST - 1, LOWEST + N_PITCHES))
    ax.set_xticks(np.arange(0, len(notes) + 1, 8), [])
    ax.set_yticks([36, 48, 60, 72], ["C2", "C3", "C4", "C5"])
    ax.grid(alpha=0.4)
    ax.set_axisbelow(True)


def plot_rolls(stretches, n_columns, title):
    """Draw stretches of music as piano rolls, each with its name."""
    n_rows = -(-len(stretches) // n_columns)
    figure, axes = plt.subplots(
        n_rows,
        n_columns,
        figsize=(4 * n_columns, 2.1 * n_rows + 0.6),
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    for ax, (name, notes) in zip(axes.flat, stretches, strict=True):
        draw_roll(ax, notes, name)
    for ax in axes[-1]:
        ax.set_xlabel("bars")
    figure.suptitle(title)
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def main(folder):
    """Print how the music is made up, save the pictures."""
    try:
        train, test = load_stretches("train", 4), load_stretches("test", 8)
    except (ImportError, OSError) as error:
        print(f"skipped: {error}")
        return
    autoencoder = VariationalAutoencoder(
        32,
        hidden_layers=Conv1d((N_PITCHES * 4, N_STEPS), (64, 128), kernel_size=4, activation="gelu"),
        likelihood=Categorical(N_PITCHES),
        learning_rate=3e-3,
        learning_rate_schedule="cosine",
        batch_size=64,
        max_iter=20,
        random_state=0,
    ).fit(to_channels(train))
    drawn = to_notes(autoencoder.sample(500, random_state=1, return_mean=True))
    rng = np.random.default_rng(0)
    by_voice = [rng.choice(train[..., voice].ravel(), (500, N_STEPS)) for voice in range(4)]
    one_by_one = np.stack(by_voice, axis=-1)
    print(f"{'':<26}{'in the scale':>14}{'dissonant':>11}{'held on':>9}")
    for name, notes in {
        "chorales not learned": test,
        "drawn by the decoder": drawn,
        "notes drawn one by one": one_by_one,
    }.items():
        in_scale, dissonant, stays = describe(notes)
        print(f"{name:<26}{in_scale:>14.3f}{dissonant:>11.3f}{stays:>9.3f}")

    several = [("Bach", test[0]), ("Bach", test[len(test) // 2])]
    several += [("drawn", notes) for notes in drawn[:6]]
    several += [("notes drawn one by one", one_by_one[0])]
    ends = to_channels(test[[0, len(test) // 2]])
    way = to_notes(autoencoder.interpolate(ends[:1], ends[1:], n_steps=7)[0])
    walk = [("Bach", test[0]), *((f"decoded, {k} of 6", one) for k, one in enumerate(way))]
    walk += [("Bach", test[len(test) // 2])]
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in {
        "chorales": plot_rolls(several, 3, "Chorales, and what the decoder draws"),
        "chorales_walk": plot_rolls(walk, 3, "On the way from one chorale to another"),
    }.items():
        figure.savefig(folder / f"{name}.png", dpi=100)
        print(f"saved {folder / name}.png")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
