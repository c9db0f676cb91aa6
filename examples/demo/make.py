#!/usr/bin/env python3
"""Writes examples/demo/day/*.ndjson: an invented day of Harbour Clinics, a few hundred objects in the order in which
they are pushed. Everybody in it is made up. The same seed gives the same files:  python3 examples/demo/make.py"""

import base64, json, pathlib, random
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

HERE = pathlib.Path(__file__).parent / "day"
pick = random.Random(20261025)
SNOMED, LOINC = "http://snomed.info/sct", "http://loinc.org"

# family, given, the same in Latin letters (or None), gender, year, language, town
PEOPLE = """
حداد|ليلى|Layla Haddad|female|1938|ar|London
الحسن|يوسف|Yousef Al-Hassan|male|1971|ar|London
منصور|فاطمة|Fatima Mansour|female|1989|ar|Dubai
الزهراني|عبد الله|Abdullah Al-Zahrani|male|1964|ar|Dubai
خوري|نور|Nour Khoury|female|2001|ar|London
بن يوسف|سلمى|Salma Ben Youssef|female|1995|ar|Madrid
القاسمي|خالد|Khalid Al-Qasimi|male|1957|ar|Dubai
إبراهيم|مريم|Maryam Ibrahim|female|2019|ar|New York
García López|María José||female|1979|es|Madrid
Fernández Núñez|Íñigo||male|1946|es|Madrid
Martínez Ibáñez|Lucía||female|2012|es|Madrid
Rodríguez Peña|José Ángel||male|1958|es|New York
Muñoz de la Cruz|Begoña||female|1983|es|Madrid
Hernández|Guadalupe||female|1991|es|Phoenix
Ramírez Ortiz|Jesús||male|1968|es|Phoenix
Domínguez|Concepción||female|1934|es|Madrid
Castañeda|Tomás||male|2006|es|Phoenix
Vega Quiñones|Ainhoa||female|1999|es|Madrid
Saavedra|Rubén Darío||male|1975|es|New York
Ybarra|Esperanza||female|1962|es|Phoenix
O'Brien|Seán Pádraig||male|1941|en|London
Okonkwo|Chiamaka||female|1987|en|London
Featherstonehaugh|Beatrice||female|1929|en|London
Patel|Arjun||male|1993|en|London
MacLeod|Eilidh||female|2003|en|London
Adeyemi|Oluwaseun||male|1978|en|London
Whitfield|Gerald||male|1952|en|London
Nguyen|Thị Minh Khai||female|1969|vi|Phoenix
Trần|Quốc Bảo||male|2015|vi|New York
王|小明|Wang Xiaoming|male|1984|zh|New York
李|秀英|Li Xiuying|female|1948|zh|New York
佐藤|花子|Sato Hanako|female|1972|ja|London
김|민준|Kim Minjun|male|1996|ko|New York
Kowalczyk|Łukasz||male|1981|pl|London
Wiśniewska|Zofia||female|1955|pl|London
Müller|Jürgen||male|1949|de|Madrid
Groß|Anneliese||female|1937|de|Madrid
Çelik|Ayşe||female|1990|tr|London
Yıldırım|İsmail||male|1966|tr|London
Иванова|Наталья|Natalya Ivanova|female|1976|ru|New York
Шевченко|Олександр|Oleksandr Shevchenko|male|1988|uk|New York
Παπαδόπουλος|Γεώργιος|Georgios Papadopoulos|male|1944|el|London
כהן|רחל|Rachel Cohen|female|1953|he|New York
शर्मा|प्रिया|Priya Sharma|female|1992|hi|Dubai
Singh|Harpreet||female|1970|pa|London
Silva dos Santos|João||male|1985|pt|Madrid
Conceição|Inês||female|2009|pt|Madrid
Lefèvre|François||male|1960|fr|Madrid
Dubois|Zoé||female|2021|fr|Madrid
Björnsdóttir|Sigríður||female|1974|is|London
Ærøskøbing|Søren||male|1980|da|London
Nováková|Žofie||female|1967|cs|London
Begay|Leland||male|1959|en|Phoenix
Yazzie|Shandiin||female|1998|en|Phoenix
Washington|Denise||female|1963|en|New York
Rosenberg|Ira||male|1947|en|New York
Jackson-Lee|Tyrell||male|2004|en|New York
McAllister|Ruth Ann||female|1956|en|Phoenix
Kahananui|Keoni||male|1994|en|Phoenix
Abebe|Selamawit||female|1986|am|Dubai
Mwangi|Wanjiru||female|1973|sw|London
Al Maktoum|Hessa||female|1982|en|Dubai
Thapa|Bishnu||male|1977|ne|Dubai
de Vries|Maaike||female|1965|nl|Madrid
""".strip().splitlines()

# town: IANA zone, country, street, dialling code, clinic day, opening hour
TOWNS = {
    "London": ("Europe/London", "GB", "Harrow Road", "+44 20 7946", (2026, 10, 25), 0),
    "Madrid": ("Europe/Madrid", "ES", "Calle de Alcalá", "+34 91 555", (2026, 10, 25), 0),
    "New York": ("America/New_York", "US", "Amsterdam Avenue", "+1 212 555", (2026, 11, 1), 0),
    "Phoenix": ("America/Phoenix", "US", "Camelback Road", "+1 602 555", (2026, 10, 26), 8),
    "Dubai": ("Asia/Dubai", "AE", "Al Wasl Road", "+971 4 555", (2026, 10, 26), 9),
}
STAFF = [
    ("weber", "Dr.", "Anna", "Weber", "female", "Madrid", "General practice", "394814009"),
    ("okafor", "Dr.", "Chidi", "Okafor", "male", "London", "General practice", "394814009"),
    ("elamin", "Dr.", "Huda", "El-Amin", "female", "London", "Cardiology", "394579002"),
    ("ortega", "Dra.", "Pilar", "Ortega Sáez", "female", "Madrid", "Paediatrics", "394537008"),
    ("goldberg", "Dr.", "Miriam", "Goldberg", "female", "New York", "General practice", "394814009"),
    ("tsosie", "Dr.", "Raymond", "Tsosie", "male", "Phoenix", "General practice", "394814009"),
    ("rahman", "Dr.", "Tariq", "Rahman", "male", "Dubai", "General practice", "394814009"),
    ("nguyen", "Dr.", "Linh", "Nguyen", "female", "New York", "Dermatology", "394582007"),
    ("murphy", "Nurse", "Aoife", "Murphy", "female", "London", "Nursing", "408443003"),
    ("diaz", "Enf.", "Marcos", "Díaz", "male", "Phoenix", "Nursing", "408443003"),
]
REASONS = [
    ("High blood pressure", "38341003", "Hypertensive disorder"),
    ("Follow-up of diabetes", "44054006", "Diabetes mellitus type 2"),
    ("Cough for two weeks", "49727002", "Cough"),
    ("Back pain", "161891005", "Backache"),
    ("Asthma review", "195967001", "Asthma"),
    ("Headache", "25064002", "Headache"),
    ("Vaccination", "33879002", "Administration of vaccine to produce active immunity"),
    ("Rash", "271807003", "Eruption of skin"),
]
WORDS = {
    "es": "Le recordamos su cita. Por favor, llegue diez minutos antes.",
    "ar": "نذكركم بموعدكم. يرجى الحضور قبل عشر دقائق.",
    "zh": "提醒您按时就诊，请提前十分钟到达。",
    "pl": "Przypominamy o wizycie. Prosimy przyjść dziesięć minut wcześniej.",
    "pt": "Lembramos a sua consulta. Por favor, chegue dez minutos antes.",
}
ENGLISH = "This is a reminder of your visit. Please come ten minutes early."


def ref(kind, id, display=None):
    return {"object": kind, "id": id} | ({"display": display} if display else {})


def code(system, code, display):
    return {"codes": [{"system": system, "code": code, "display": display}]}


def moment(instant, zone):
    local = instant.astimezone(ZoneInfo(zone))
    return f"{local.isoformat(timespec='seconds')}[{zone}]"


def write(kind, objects):
    lines = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in objects]
    (HERE / f"{kind}.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{kind}: {len(objects)}")


def pdf(lines):
    """A one-page PDF 1.4 in Helvetica; what WinAnsi cannot write becomes a question mark."""
    def literal(text):
        raw = text.encode("cp1252", "replace").replace(b"\\", b"\\\\")
        return raw.replace(b"(", b"\\(").replace(b")", b"\\)")
    page = b"BT /F1 11 Tf 72 770 Td 16 TL\n"
    page += b"".join(b"(" + literal(line) + b") Tj T*\n" for line in lines) + b"ET\n"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%sendstream" % (len(page), page),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    out, places = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)


patients = []
for number, line in enumerate(PEOPLE, 1):
    family, given, latin, gender, year, language, town = line.split("|")
    zone, country, street, dial, _, _ = TOWNS[town]
    names = [{"use": "official", "family": family, "given": given.split(" ") if not latin else [given]}]
    if latin:
        first, _, last = latin.partition(" ")
        names.append({"use": "usual", "full": latin, "family": last, "given": [first]})
    patient = {
        "id": f"p-{number:03}",
        "identifiers": [{"system": "https://harbour-clinics.example/mrn", "value": f"{4700 + number:06}"}],
        "active": True,
        "names": names,
        "gender": gender,
        # Of the oldest only the year is known.
        "birth_date": year if int(year) < 1940 else f"{year}-{pick.randint(1, 12):02}-{pick.randint(1, 28):02}",
        "contact_details": [{"kind": "phone", "value": f"{dial} {1000 + number}", "use": "mobile"}],
        "addresses": [{"use": "home", "lines": [f"{pick.randint(1, 240)} {street}"], "city": town, "country": country}],
        "languages": [{"language": language, "preferred": True}],
    }
    if language not in ("en", "es") and number % 2 == 0:
        patient["interpreter_needed"] = True
    patients.append((patient, town, latin or f"{given} {family}", language))
write("patient", [patient for patient, *_ in patients])

write("practitioner", [
    {"id": f"dr-{id}", "identifiers": [{"system": "https://harbour-clinics.example/staff", "value": f"S-{n:03}"}],
     "active": True, "names": [{"use": "official", "prefix": [prefix], "given": [given], "family": family}],
     "gender": gender, "contact_details": [{"kind": "email", "value": f"{id}@harbour-clinics.example", "use": "work"}]}
    for n, (id, prefix, given, family, gender, *_) in enumerate(STAFF, 1)])
staff_name = {id: f"{prefix} {given} {family}" for id, prefix, given, family, *_ in STAFF}

locations = [{"id": "room-video", "status": "open", "name": "Video visits", "description": "No room: join by the link"}]
for town, (zone, country, street, dial, _, _) in TOWNS.items():
    slug = town.lower().replace(" ", "-")
    locations.append({
        "id": f"clinic-{slug}", "status": "open", "name": f"Harbour Clinic {town}",
        "contact_details": [{"kind": "phone", "value": f"{dial} 0100", "use": "work"}],
        "address": {"lines": [f"1 {street}"], "city": town, "country": country}})
write("location", locations)

sessions, slots, appointments = [], [], []
by_town = {town: [p for p in patients if p[1] == town] for town in TOWNS}
for id, _, _, _, _, town, specialty, specialty_code in STAFF:
    zone, _, _, _, day, hour = TOWNS[town]
    slug = town.lower().replace(" ", "-")
    # Night clinics run through the hour that the change of clocks repeats: eighteen half hours of real time.
    opening = datetime(*day, hour, tzinfo=ZoneInfo(zone)).astimezone(timezone.utc)
    length = timedelta(minutes=30 if specialty != "Nursing" else 20)
    session = f"{id}-{day[1]:02}{day[2]:02}"
    sessions.append({
        "id": session, "active": True,
        "offered_by": [ref("practitioner", f"dr-{id}", staff_name[id]), ref("location", f"clinic-{slug}")],
        "planned": {"from": moment(opening, zone), "to": moment(opening + 9 * length, zone)},
        "specialties": [code(SNOMED, specialty_code, specialty)],
        "comment": "Interpreter by telephone" if town in ("London", "New York") else "No new patients in the last hour"})
    for n in range(9):
        start, end = opening + n * length, opening + (n + 1) * length
        slot = f"{session}-{n + 1}"
        slots.append({
            "id": slot, "session": ref("clinic-session", session), "status": "busy",
            "start": moment(start, zone), "end": moment(end, zone)})
        patient, _, name, language = by_town[town][(n + len(appointments)) % len(by_town[town])]
        words, reason_code, reason = pick.choice(REASONS)
        video = (n + len(id)) % 4 == 0
        number = len(appointments) + 1
        appointment = {
            "id": f"a-{number:03}",
            "identifiers": [{"system": "https://harbour-clinics.example/visit", "value": f"V-2026-{number:04}"}],
            "status": "booked",
            "specialties": [code(SNOMED, specialty_code, specialty)],
            "reasons": [{"text": words} | code(SNOMED, reason_code, reason)],
            "description": ("Video visit: " if video else "") + words,
            "start": moment(start, zone), "end": moment(end, zone), "minutes": int(length.total_seconds() // 60),
            "slots": [ref("slot", slot)],
            "made_on": "2026-09-14",
            "participants": [
                {"who": ref("patient", patient["id"], name), "needed": "required", "reply": "accepted"},
                {"who": ref("practitioner", f"dr-{id}", staff_name[id]), "needed": "required", "reply": "accepted"},
                {"who": ref("location", "room-video" if video else f"clinic-{slug}"), "needed": "required",
                 "reply": "accepted"}]}
        if video:
            appointment["video_visit"] = {
                "link": f"https://visit.harbour-clinics.example/j/{8000 + number}", "seats": 4, "key": f"{pick.randint(1000, 9999)}"}
        if language == "es":
            appointment["patient_instructions"] = "Por favor, traiga sus medicinas y su tarjeta sanitaria."
        appointments.append(appointment)
write("clinic-session", sessions)
write("slot", slots)
write("appointment", appointments)

people = {patient["id"]: (name, language) for patient, _, name, language in patients}
messages = []
for number, appointment in enumerate(appointments[::2], 1):
    who, doctor = appointment["participants"][0]["who"], appointment["participants"][1]["who"]
    name, language = people[who["id"]]
    channel = ["text message", "portal", "email", "phone"][number % 4]
    messages.append({
        "id": f"m-{number:03}", "status": "sent", "categories": ["reminder"], "channels": [channel],
        "topic": {"text": "Reminder of your visit"}, "patient": who,
        "about": [ref("appointment", appointment["id"])], "sent_at": f"2026-10-2{number % 4}T09:{number % 60:02}:00Z",
        "recipients": [who], "sender": doctor, "parts": [{"text": WORDS.get(language, ENGLISH)}]})
write("message", messages)

letters = []
for number, appointment in enumerate(appointments[1::4], 1):
    who, doctor = appointment["participants"][0]["who"], appointment["participants"][1]["who"]
    name, reason = people[who["id"]][0], appointment["reasons"][0]["text"]
    page = pdf(["Harbour Clinics", "", f"To: {name}", f"From: {doctor['display']}", "",
                f"You were seen about: {reason}.", "We have made a plan together; it is on the next page of your record.",
                "Please call us if anything is unclear.", "", doctor["display"]])
    letters.append({
        "id": f"l-{number:03}", "identifiers": [{"system": "https://harbour-clinics.example/letter", "value": f"L-2026-{number:03}"}],
        "status": "current", "writing_status": "final",
        "kind": code(LOINC, "34133-9", "Summarization of episode note"),
        "patient": who, "authors": [doctor], "title": f"Letter about: {reason}", "filed_at": "2026-10-24T16:00:00Z",
        "files": [{"file": {"content_type": "application/pdf", "title": f"letter-{number:03}.pdf", "size": len(page),
                            "data": base64.b64encode(page).decode()}}]})
write("letter", letters)
