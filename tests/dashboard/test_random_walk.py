"""A walk of random actions in a page: after each, one star everywhere, and the store tells it all.

The page is a live document without a browser: what waits for a turn, a thread or a pause of the
keys waits here too, and the walk goes on meanwhile, as a reviewer does. ``MSFA_WALK=2000`` walks
further than the tests do; ``MSFA_SEED`` takes another way.
"""

import asyncio
import json
import os
import random
from types import SimpleNamespace

import numpy as np
import panel as pn
import pytest
from bokeh.application import Application
from bokeh.application.handlers.document_lifecycle import DocumentLifecycleHandler
from bokeh.application.handlers.function import FunctionHandler
from bokeh.core.types import ID
from bokeh.events import SelectionGeometry, Tap
from bokeh.server.contexts import ApplicationContext
from panel.io.state import set_curdoc
from tornado.ioloop import IOLoop

import dashboard.planes.linked
import dashboard.views.queue
from dashboard.app import VettingApp
from dashboard.planes.linked import LinkedView
from dashboard.state import Session
from dashboard.views.balmer import header_html as balmer_words
from dashboard.views.balmer import pixels
from dashboard.views.calcium_lens import header_html as calcium_words
from dashboard.views.classes import class_html
from dashboard.views.epochs import EpochsView, epochs_html
from dashboard.views.places import PLANES
from dashboard.views.queue_words import SIGNS, queue_page
from dashboard.views.spectrum_data import spectrum_data, title_of
from dashboard.views.strip import strip_content
from msfa_core.vetting.agreement import latest_by_reviewer
from msfa_core.vetting.record import standing, verdict_of_record

N_ACTIONS = int(os.environ.get("MSFA_WALK", "120"))
SEED = int(os.environ.get("MSFA_SEED", "20"))
PATIENCE = 10.0  # s, for an answer of the store
WORDS = ("Ca K too strong", "", "", "<b>Müller</b> Ж; \"wide\" & 'flat'", "a\nb")

pytestmark = [
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index"),
    pytest.mark.filterwarnings("ignore:The 'mode.chained_assignment' option is deprecated"),
    pytest.mark.filterwarnings("ignore:.*HTTPServerRequest:DeprecationWarning"),  # bokeh's own
]


def is_drawn(view):
    """Whether the plane of a view is on the page: not where a notice stands for it."""
    return view._place.visible and view.plane(view.shown).figure.document is not None


class Browser:
    """What the page's own scripts do: one action at a time, for the star that is painted."""

    def __init__(self, app):
        self.app, self.busy, self.refused = app, False, False
        app.verdict._send_msg = self.answered

    @property
    def painted(self):
        return str(self.app.spectrum._sources["flux"].tags[0])

    def answered(self, answer):
        self.busy, self.refused = False, not answer["is_done"]

    def say(self, action, value="", **said):
        message = {"action": action, "value": value, "painted": self.painted, **said}
        message["reviewer"] = self.app.state.verdicts.reviewer
        self.busy = True
        self.app.verdict.handle(json.loads(json.dumps(message)))


class Walk:
    """A reviewer who does anything at all, and a second one beside."""

    def __init__(self, app, survey, session, rng):
        self.app, self.rng, self.state = app, rng, app.state
        self.browser = Browser(app)
        self.other = Session(survey, "bert")
        self.given = []  # what was pressed: (obsid, verdict, class, comment, reviewer)
        self.session, self.pause = session, 0.0
        self.done = []  # what was done, to tell of it
        self.pages = app.page.select(lambda one: "msfa-pages" in one.css_classes)[0]

    # --- what a hand can do ------------------------------------------------------------------
    def verdict(self):
        action, value = self.rng.choice(
            [("accept", ""), ("reject", ""), ("reject", "WD"), ("unsure", ""), ("suggestion", "")]
        )
        said = {"comment": self.rng.choice(WORDS), "issue_flags": self.rng.choice([[], ["blend"]])}
        said["confidence"] = self.rng.choice([None, 1, 4])
        shown = self.browser.painted
        before = len(self.decisions())
        reviewer = self.state.verdicts.reviewer
        self.browser.say(action, value, **said)

        def answered():
            if self.browser.refused:
                assert action == "suggestion" or not shown
                assert len(self.decisions()) == before
            else:
                self.given.append((shown, action, value, said, reviewer))

        return answered

    def undo(self):
        me = self.state.verdicts.reviewer
        own = [place for place, one in enumerate(self.given) if one[-1] == me]
        self.browser.say("undo")

        def answered():
            assert self.browser.refused == (not own)
            if own:
                shown, *_ = self.given.pop(own[-1])  # the last: an equal one may stand before it
                assert self.browser.painted == shown  # back to its star

        return answered

    def move(self):
        self.browser.say(self.rng.choice(["next", "next", "previous"]))

    def select_from_history(self):
        if self.state.verdicts.recent():
            wanted = str(self.rng.choice(self.state.verdicts.recent()).obsid)
            self.browser.say("select", wanted)
            assert self.browser.painted == wanted

    def click_in_the_queue(self):
        shown = self.app.queue.table.value["obsid"]
        if len(shown):
            row = self.rng.randrange(len(shown))
            self.browser.say("select", shown.iloc[row])
            assert self.browser.painted == shown.iloc[row]

    def search(self):
        table = self.state.verdicts.table
        row = table.iloc[self.rng.randrange(len(table))]
        wanted = self.rng.choice(
            [str(row["obsid"]), f"Gaia DR3 {row['gaia_source_id']}", f"{row['ra']} {row['dec']}",
             "nowhere <i>at all</i>"]
        )  # fmt: skip
        before = self.browser.painted
        self.app.queue.search.value = wanted
        if wanted.startswith("nowhere"):
            assert self.browser.painted == before
            assert self.state.status.tone == "error"
        else:
            found = self.state.screen.star.row
            assert self.browser.painted == str(row["obsid"]) or (
                found["ra"] == row["ra"] or found["uid"] == row["uid"]
            )

    def choose_in_a_menu(self):
        queue = self.app.queue
        menu = self.rng.choice([queue.scope, queue.verdict, queue.reason, queue.order])
        if not self.state.verdicts.blind:  # else it is not in the page
            menu.value = self.rng.choice(list(menu.options.values()))

    def take_a_sentence_away(self):
        for button in self.rng.sample(list(self.app.queue._sentences), min(1, len(
            self.app.queue._sentences))):  # fmt: skip
            button.clicks += 1

    def turn_a_page_of_the_list(self):
        self.rng.choice([self.app.queue.back, self.app.queue.forth]).clicks += 1

    def widen(self):
        if self.app.queue.widen.visible:
            self.app.queue.widen.clicks += 1
            assert len(self.state.queue.obsids) == len(self.state.verdicts.table)

    def move_a_limit(self):
        self.state.labels.param.update(
            logg_limit=round(self.rng.uniform(3, 5), 2), feh_limit=round(self.rng.uniform(-2, 0), 2)
        )

    def choose_a_plane(self):
        place = self.rng.choice(self.places())
        place.choose(self.rng.choice(list(PLANES)))

    def turn_a_plane(self):
        view = self.rng.choice(self.places()).in_sight
        if isinstance(view, LinkedView):
            view.shown = self.rng.choice(view.param.shown.objects)
            view.colour = self.rng.choice(view.param.colour.objects)

    def tap_or_brush(self):
        view = self.rng.choice(self.places()).in_sight
        if not isinstance(view, LinkedView) or not is_drawn(view):
            return
        plane = view.plane(view.shown)
        x0, x1, y0, y1 = plane.window
        x, y = sorted(self.rng.uniform(x0, x1) for _ in range(2)), [y0, y1]
        if self.rng.random() < 0.5:
            at = {"x": x[0], "y": self.rng.uniform(y0, y1), "sx": 0, "sy": 0}
            plane.figure._trigger_event(Tap(plane.figure, **at))
            return
        geometry = {"type": "rect", "x0": x[0], "x1": x[1], "y0": y[0], "y1": y[1]}
        event = SelectionGeometry(plane.figure, geometry=geometry, final=True)
        plane.figure._trigger_event(event)

    def go_blind(self):
        self.app._toggle_blind()

    def ask_for_overlays(self):
        toggle = self.rng.choice(["with_epochs", "with_coadd"])
        button = self.app.spectrum._toggles[toggle]
        button.value = not button.value

    def look_closer(self):
        spectrum = self.app.spectrum
        self.rng.choice(
            [
                spectrum.step_smoothing,
                lambda: setattr(spectrum, "rest", not spectrum.rest),
                lambda: setattr(spectrum.lines.velocity, "value", self.rng.randrange(-300, 300)),
                lambda: setattr(spectrum.lines.own, "value", self.rng.choice(["4481.3", "no", ""])),
            ]
        )()

    def open_a_witness(self):
        self.app._open_witness(self.rng.choice(["networks", "CMD", "labels", "Ca K", "D0.2–fm"]))

    def turn_to_a_page(self):
        self.pages.value = self.rng.choice(["Vet", "Vet", "Compare", "Export"])

    def narrow_or_wide(self):
        self.app._open_witness(self.rng.choice(["wide", "narrow"]))

    def be_somebody_else(self):
        self.browser.say("reviewer", self.rng.choice(["anna", "Жanna", "anna"]))
        self.browser.busy = False

    def somebody_else_decides(self):
        before = (self.browser.painted, self.app.spectrum.figure.y_range.start)
        self.other.screen.select(int(self.rng.choice(self.state.data.obsid)))
        shown = self.other.screen.selected
        self.other.decide("reject", painted_obsid=shown, comment="no")
        said = {"comment": "no", "issue_flags": [], "confidence": None}
        self.given.append((shown, "reject", "", said, "bert"))
        self.state.follow()
        assert before == (self.browser.painted, self.app.spectrum.figure.y_range.start)

    def wait(self):
        self.pause = 0.02  # s

    ACTIONS = (
        (verdict, 20), (undo, 5), (move, 10), (select_from_history, 3), (click_in_the_queue, 6),
        (search, 4), (choose_in_a_menu, 8), (take_a_sentence_away, 4),
        (turn_a_page_of_the_list, 1), (widen, 3), (move_a_limit, 1), (choose_a_plane, 6),
        (turn_a_plane, 5), (tap_or_brush, 8), (go_blind, 3), (ask_for_overlays, 3),
        (look_closer, 4), (open_a_witness, 3), (turn_to_a_page, 4), (narrow_or_wide, 1),
        (be_somebody_else, 1), (somebody_else_decides, 4), (wait, 4),
    )  # fmt: skip

    async def step(self):
        actions, weights = zip(*self.ACTIONS, strict=True)
        action = self.rng.choices(actions, weights)[0]
        self.done.append(action.__name__)
        answered = await self.session.with_document_locked(action, self)
        if answered is not None:
            await self.answer()
            answered()
        await asyncio.sleep(self.pause)
        self.pause = 0.0
        await self.session.with_document_locked(self.check)

    async def answer(self):
        """Wait for the answer to the last action, as the page's script does."""
        for _ in range(int(PATIENCE / 0.002)):
            if not self.browser.busy:
                return
            await asyncio.sleep(0.002)
        raise AssertionError("no answer")

    def places(self):
        return [place for place in self.app.places.values() if place.is_open]

    # --- what has to hold --------------------------------------------------------------------
    def check(self):
        self.check_one_star()
        self.check_planes()
        self.check_what_is_stored()
        self.check_queue()

    def check_one_star(self):
        app, state, star = self.app, self.state, self.state.screen.star
        obsid = "" if star is None else str(star.obsid)
        assert self.browser.painted == state.screen.selected == obsid
        assert app.strip.content == strip_content(state)
        assert app.spectrum.figure.title.text == title_of(star, state.verdicts.blind)
        if star is None:
            return
        rest = app.spectrum.rest and bool(np.isfinite(star.spectrum.z))
        drawn = app.spectrum._sources["flux"].data
        for name, values in spectrum_data(star.spectrum, rest).items():
            np.testing.assert_array_equal(drawn[name], values)
        for line, plot in app.balmer.plots.items():
            assert app.balmer.headers[line].object == balmer_words(star.fits, line)
            window = star.windows[line]
            wanted = pixels(window, window.used & np.isfinite(window.flux))
            np.testing.assert_array_equal(plot.used.data["flux"], wanted["flux"])
        assert app.calcium._words.object == calcium_words(star.row)
        others = {str(one) for one in state.screen.other_epochs}
        assert set(app.spectrum._sources["epochs"].data["name"]) <= others
        if app.classes.in_sight:
            said = state.data.disagreements_on(star.obsid)
            assert app.classes._pane.object == class_html(
                star, state.data.settings, said, state.verdicts.blind, state.answers.matched
            )
        on_star = [(one["obsid"], one["reviewer"]) for one in app.verdict.on_star]
        mine = [one for one in star.decisions if not one.is_withdrawal]
        gone = {one.withdraws for one in star.decisions}
        assert on_star == [
            (str(one.obsid), one.reviewer)
            for one in mine
            if one.decision_id not in gone
            and (not state.verdicts.blind or one.reviewer == state.verdicts.reviewer)
        ]

    def check_planes(self):
        star = self.state.screen.star
        for place in self.places():
            view = place.in_sight
            if isinstance(view, EpochsView):
                assert view._list.object == epochs_html(star)
                continue
            if not is_drawn(view):  # a notice stands there
                continue
            plane = view.plane(view.shown)
            row = None if star is None else view.star_row(star)
            wanted = [str(star.obsid)] if plane.places(row) else []
            assert list(plane.star.data["obsid"]) == wanted, (place.chosen, view.shown)
            if wanted:
                assert plane.star.data["x"] == [row[plane.names[0]]]
            brushed = view.brushed()
            vivid = set(plane.vivid.points.data["obsid"])
            if brushed is not None:
                assert vivid <= set(self.state.data.obsid[brushed].astype(str))
            if star is not None and wanted and "this star" in view._caption.object:
                assert "this star has no" not in view._caption.object

    def decisions(self):
        return self.state.data.store.decisions()

    def check_what_is_stored(self):
        stand = [one for one in standing(self.decisions()) if not one.is_withdrawal]
        told = sorted(
            (one.decision_id, str(one.obsid), one.reviewer, one.comment, one.confidence,
             list(one.issue_flags))
            for one in stand
        )  # fmt: skip
        assert [(obsid, who, *said) for _, obsid, who, *said in told] == [
            (obsid, who, said["comment"], said["confidence"], said["issue_flags"])
            for obsid, _, _, said, who in self.given
        ]
        by_id = sorted(stand, key=lambda one: one.decision_id)
        for one, (_, verdict, as_class, _, _) in zip(by_id, self.given, strict=True):
            if verdict != "suggestion":
                assert (str(one.verdict), one.verdict_class) == (verdict, as_class)

    def check_queue(self):
        state, queue = self.state, self.app.queue
        data = state.data
        stand = data.store.standing()
        record = verdict_of_record(stand, data.candidates, data.settings.verdict_rule)
        wanted = record["verdict"].fillna("").to_numpy(object)
        assert (state.verdicts.table["verdict"].fillna("").to_numpy(object) == wanted).all()
        own = latest_by_reviewer(stand, data.candidates)
        if state.verdicts.reviewer in own:
            said = own[state.verdicts.reviewer].dropna()
            for obsid, verdict in said.items():
                assert state.verdicts.mine[data.row(int(obsid))] == verdict
        else:
            assert not (state.verdicts.mine != "").any()
        keep = np.ones(len(data.obsid), dtype=bool)
        assert len(set(state.queue.obsids.tolist())) == len(state.queue.obsids)
        for condition in state.queue.filters:
            if not self.depends_on_verdicts(condition):  # a queue stays while it is worked at
                keep &= condition.predicate(state.verdicts.table)
        assert set(state.queue.obsids.tolist()) <= set(data.obsid[keep].tolist())
        listed = queue.table.value
        now = queue_page(state, queue.page)
        assert listed["obsid"].tolist() == now["obsid"].tolist()
        if state.verdicts.blind:
            assert list(state.queue.obsids[:1]) and queue._sentences.objects == []
            assert set(listed["class"]) <= {"·"} and set(listed["rec."]) <= {"·"}
        assert set(listed["mine"]) <= {"", *SIGNS.values()}

    @staticmethod
    def depends_on_verdicts(condition):
        return condition.name == "verdict" or "disagree" in condition.sentence

    async def settle(self):
        """Let everything that waits come to its end; then all of it agrees."""
        await asyncio.sleep(0.1)
        queue = self.app.queue
        now = queue_page(self.state, queue.page)
        assert queue.table.value.astype(str).equals(now.astype(str))
        place = self.state.screen.place
        if place >= 0:
            assert queue.table.selection == [place - queue.page * dashboard.views.queue.PAGE]


def test_wherever_a_reviewer_goes_one_star_is_everywhere_and_nothing_is_lost(
    survey, monkeypatch, caplog
):
    monkeypatch.setattr(type(pn.state), "app_url", "/dashboard")  # as a server of it knows
    monkeypatch.setattr(dashboard.views.queue, "_FOLLOW_AFTER", 5)
    monkeypatch.setattr(dashboard.views.queue, "_WRITE_AFTER", 10)
    monkeypatch.setattr(dashboard.planes.linked, "RECOLOUR_DELAY_MS", 10)
    pn.state.cache.clear()
    apps = []

    def make(document):
        with set_curdoc(document):
            app = VettingApp(survey, reviewer="anna")
            pn.panel(app).server_doc(document)
            apps.append(app)

    request = SimpleNamespace(
        arguments={}, cookies={}, headers={}, uri="/", path="/", protocol="http", host="localhost"
    )

    async def visit():
        page = Application(FunctionHandler(make), DocumentLifecycleHandler())
        context = ApplicationContext(page, io_loop=IOLoop.current())
        session = await context.create_session_if_needed(ID("walk"), request)
        pn.state._connected[session.document] = True  # as when a browser has asked for the page
        walk = Walk(apps[0], survey, session, random.Random(SEED))
        with set_curdoc(session.document):
            await session.with_document_locked(walk.check)
            for k in range(N_ACTIONS):
                try:
                    await walk.step()
                    if k % 20 == 19:
                        walk.done.append("settle")
                        await walk.settle()
                except BaseException:
                    print(f"seed {SEED}, action {k}:", *walk.done[-12:])
                    raise
        walk.other.close()
        await context._discard_session(session, lambda _: True)

    asyncio.run(visit())
    errors = [one.getMessage() for one in caplog.records if one.levelname in ("ERROR", "CRITICAL")]
    assert errors == []
