#!/usr/bin/python3
"""One libtorrent peer on loopback, for the benchmarks in the folder above.

Usage: libtorrent_peer.py [--web-seed URL] seed|get TORRENT DIRECTORY [WARM_UP_TORRENT DIRECTORY]

Says `ready PORT`, and `done` once every piece is verified and written, `warm` once those of the
warm-up are. Takes `meet PORT...` and `warm PORT...` on stdin: whom to connect with. Ends with
stdin. Talks TCP without encryption, and to nobody but the peers it is told of and the web seed.
"""
import argparse
import sys
import threading

try:
    import libtorrent as lt
except ImportError:
    print("absent", flush=True)
    sys.exit(0)

WAIT_MS = 500
# What libtorrent's own tuning guide gives a machine with few, fast connections.
SETTINGS = {
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "in_enc_policy": 2,
    "out_enc_policy": 2,
    "allow_multiple_connections_per_ip": True,
    "unchoke_slots_limit": 64,
    "connections_limit": 200,
    "send_buffer_watermark": 16 * 1024 * 1024,
    "max_out_request_queue": 5000,
    "request_queue_time": 3,
    "alert_mask": lt.alert.category_t.status_notification,
}


def say(*words):
    print(*words, flush=True)


def add(session, role, torrent, directory):
    params = {
        "ti": lt.torrent_info(torrent),
        "save_path": directory,
        "trackers": [],
        "flags": lt.torrent_flags.override_trackers | lt.torrent_flags.override_web_seeds,
    }
    if role == "seed":
        params["flags"] |= lt.torrent_flags.seed_mode
    return session.add_torrent(params)


def main(role, places, web_seed):
    session = lt.session(SETTINGS)
    pairs = zip(("meet", "warm"), zip(places[::2], places[1::2]))
    handles = {verb: add(session, role, *place) for verb, place in pairs}
    while session.listen_port() == 0:
        session.wait_for_alert(WAIT_MS)
        session.pop_alerts()

    def obey():
        for line in sys.stdin:
            verb, *ports = line.split()
            for port in ports:
                handles[verb].connect_peer(("127.0.0.1", int(port)))
            if verb == "meet" and web_seed is not None:
                handles[verb].add_url_seed(web_seed)
        ended.set()

    ended = threading.Event()
    threading.Thread(target=obey, daemon=True).start()
    say("ready", session.listen_port())
    awaited = {"meet": "done", "warm": "warm"} if role == "get" else {}
    while not ended.is_set():
        session.wait_for_alert(WAIT_MS)
        for alert in session.pop_alerts():
            if not isinstance(alert, lt.torrent_finished_alert):
                continue
            for verb, handle in handles.items():
                if alert.handle == handle and verb in awaited:
                    say(awaited.pop(verb))
                    if verb == "warm":
                        session.remove_torrent(handle)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--web-seed")
    parser.add_argument("role", choices=["seed", "get"])
    parser.add_argument("places", nargs="+")
    given = parser.parse_args()
    main(given.role, given.places, given.web_seed)
