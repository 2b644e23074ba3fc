#!/usr/bin/python3
"""One libtorrent peer on loopback, for the benchmarks in the folder above.

Usage: libtorrent_peer.py seed|get TORRENT DIRECTORY [WEB_SEED_URL]

Says `ready PORT`, and `done` once every piece is verified and written. Takes `meet PORT...` on
stdin: whom to connect with. Ends with stdin. Talks TCP without encryption, and to nobody but the
peers it is told of and the web seed.
"""
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


def main(role, torrent, directory, web_seeds):
    session = lt.session(SETTINGS)
    params = {
        "ti": lt.torrent_info(torrent),
        "save_path": directory,
        "trackers": [],
        "flags": lt.torrent_flags.override_trackers | lt.torrent_flags.override_web_seeds,
    }
    if role == "seed":
        params["flags"] |= lt.torrent_flags.seed_mode
    handle = session.add_torrent(params)
    while session.listen_port() == 0:
        session.wait_for_alert(WAIT_MS)
        session.pop_alerts()

    def obey():
        for line in sys.stdin:
            for port in line.split()[1:]:
                handle.connect_peer(("127.0.0.1", int(port)))
            for url in web_seeds:
                handle.add_url_seed(url)
        ended.set()

    ended = threading.Event()
    threading.Thread(target=obey, daemon=True).start()
    say("ready", session.listen_port())
    is_done = role == "seed"
    while not ended.is_set():
        session.wait_for_alert(WAIT_MS)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.torrent_finished_alert) and not is_done:
                is_done = True
                say("done")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
