"""How many pictures a second become latent vectors, with one process and with two, and what does the client keep of each?

    python benchmarks/encoding.py [--faces 2000] [--pictures 6000] [--names 50000] [--workers 1 2] [--folder DIR]

Draws faces, saves them as JPEGs of 178 x 178 pixels and lets as many links to them as there shall be pictures pass for a collection, in
a temporary folder. `encode_shards` encodes it with the pretrained network on a LocalCluster over TCP, as it is framed, in shards of 1,024:
once to warm up, then against the clock. Prints pictures a second, from the listing to the last shard, processor time, and the peak memory of the
greatest worker. Before that it lists a collection of --names pictures, for a folder that is refused once all is listed, and prints what Python has
allocated for each at the peak and what it keeps.
"""
import argparse
import os
import resource
import tempfile
import time
import tracemalloc
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # as the workers have it
from PIL import Image  # noqa: E402

from latentfaces import encode_shards, load_bundle, synthetic_faces  # noqa: E402


def peak() -> float:
    "Of this process, in GB."
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def collection(folder: Path, faces: list, n: int) -> Path:
    "A folder of links to the faces, with names of 20 characters."
    folder.mkdir()
    for i in range(n):
        (folder / f"portrait{i:08}.jpg").symlink_to(faces[i % len(faces)])
    return folder


def listed(pictures: Path, out: Path) -> tuple:
    "Bytes at the peak of a listing, and what is kept of it."
    out.mkdir()
    (out / "z-000000.npy").touch()  # for which the folder is refused, when all is listed
    bundle = load_bundle()
    bundle.encode(bundle.decode(bundle.z[:1]))  # or what is read at the first use would be counted
    tracemalloc.start()
    try:
        encode_shards(pictures, out, bundle, align=False, progress=False)
    except FileExistsError as error:  # whose traceback holds the list
        kept, most = tracemalloc.get_traced_memory()
        assert "shards alone" in str(error)
    tracemalloc.stop()
    return most, kept


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--faces", type=int, default=2000)
    p.add_argument("--pictures", type=int, default=6000)
    p.add_argument("--names", type=int, default=50_000)
    p.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    p.add_argument("--folder", type=Path, help="where the temporary folder is made")
    a = p.parse_args()
    from distributed import Client, LocalCluster

    with tempfile.TemporaryDirectory(dir=a.folder) as place:
        folder = Path(place)
        faces = [folder / f"{i:06}.jpg" for i in range(a.faces)]
        for path, face in zip(faces, synthetic_faces(a.faces, size=178)[0]):
            Image.fromarray(face).save(path, quality=90)
        few, many, names = (collection(folder / str(i), faces, n) for i, n in enumerate((1024, a.pictures, a.names)))
        most, kept = listed(names, folder / "refused")
        print(f"{a.names:,} pictures listed: {most / a.names:.0f} bytes each at the peak, {kept / a.names:.0f} kept", flush=True)
        for workers in a.workers:
            with LocalCluster(n_workers=workers, threads_per_worker=1, protocol="tcp://", dashboard_address=":0", memory_limit="2GB") as cluster, Client(cluster) as client:
                how = {"align": False, "scheduler": client, "shard_size": 1024, "progress": False}
                encode_shards(few, folder / f"warm{workers}", **how)
                start, before = time.perf_counter(), sum(client.run(time.process_time).values())
                n = encode_shards(many, folder / f"many{workers}", **how).n_vectors
                seconds, used = time.perf_counter() - start, sum(client.run(time.process_time).values()) - before
                print(f"{n:,} pictures, {workers} process{'es' * (workers > 1)}: {seconds:.1f} s, {n / seconds:,.0f} a second; processor time of the workers {1000 * used / n:.1f} ms a picture; the greatest worker {max(client.run(peak).values()):.2f} GB; load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__": main()
