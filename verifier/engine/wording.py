"""The words of SMTP replies, by what they stand for, as servers of many makes and languages write them.

Sources: the replies of Postfix, Exim, Sendmail, qmail, OpenSMTPD, Exchange, Gmail, Yahoo and Zimbra as their manuals
and their code print them, and the phrase lists of the open verifiers. Each expression ignores case and is searched
for, not matched.
"""

import re


def _any_of(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


_USER = r"\b(?:user|mailbox|mail ?box|recipient|address|account|addressee|alias|member|customer|inbox|person)"
_GONE = r"(?:unknown|not known|not found|not exist\w*|nonexist\w*|non-exist\w*|invalid|not valid|undeliverable)"

NO_SUCH_USER = _any_of(
    rf"\b(?:unknown|invalid|no such|nonexistent|non-existent|not a valid|bad|unrecognized|no valid)\b(?: \w+)? {_USER}",
    rf"\b{_USER}\w*(?: \S+)?(?: is| was| has| could| can| cannot)?(?: be)?:? {_GONE}",
    rf"\b{_USER}\w*.{{0,80}}(?:does ?n.t|does not|do not|didn.t|did not) (?:exist|have)",
    rf"\b(?:can(?:no|')t|could not|unable to) (?:find|locate|verify)\b.{{0,40}}{_USER}",
    rf"\bno(?:t)? {_USER}\w*(?: here| by that name| with (?:that|this)| for)",
    r"\bnot (?:our|a known|a local|a registered) (?:customer|user|recipient|address|mailbox)",
    r"does(?: not|n.t) (?:exist|have an? \w*(?: ?\w+)? account)",
    r"\bnot? (?:such )?(?:mailbox|mail drop|user|person|recipient|customer|addressee|alias)\b",
    r"unrout(?:e)?able address",
    r"mailbox (?:is )?(?:unavailable|not available|not found|unknown)",
    r"(?:recipient|address|user)\b.{0,60}\b(?:rejected|refused|denied): ?(?:user|undeliverable|unknown|no such"
    r"|invalid)",
    r"user .{0,80}(?:is )?unknown",
    r"not (?:listed|found) in .{0,40}(?:directory|table|domino|address book)",
    r"does not (?:like|accept mail for) (?:that )?(?:recipient|user)",
    r"no longer (?:exists|valid|works? here)",
    r"unknown (?:or illegal )?(?:alias|local)",
    # German, French, Spanish, Italian, Portuguese, Dutch
    r"(?:empf(?:ä|ae|\?|.)nger|benutzer|adressat|postfach|mailbox|adresse|konto|nutzer)\b.{0,60}"
    r"(?:unbekannt|existiert nicht|nicht (?:gefunden|bekannt|vorhanden)|gibt es nicht|ung(?:ü|ue|.)ltig)",
    r"(?:unbekannter?|kein(?:e|en)?|ung(?:ü|ue|.)ltiger?) (?:empf|benutzer|adress|postfach|nutzer|konto)",
    r"(?:utilisateur|destinataire|adresse|bo(?:î|i|.)te|compte|usager)\b.{0,60}"
    r"(?:inconnue?|n.existe pas|introuvable|inexistante?|invalide|non trouv)",
    r"(?:usuario|destinatario|buz(?:ó|o|.)n|cuenta|direcci(?:ó|o|.)n|correo)\b.{0,60}"
    r"(?:desconocid[oa]|no existe|inexistente|no encontrad[oa]|inv(?:á|a|.)lid[oa])",
    r"(?:utente|destinatario|casella|indirizzo|account)\b.{0,60}(?:sconosciut[oa]|non esiste|inesistente"
    r"|non (?:è )?valid[oa]|non trovat)",
    r"(?:usu(?:á|a|.)rio|destinat(?:á|a|.)rio|caixa|conta|endere(?:ç|c|.)o)\b.{0,60}"
    r"(?:desconhecid[oa]|n(?:ã|a|.)o existe|inexistente|inv(?:á|a|.)lid[oa]|n(?:ã|a|.)o encontrad)",
    r"(?:gebruiker|ontvanger|adres|postbus)\b.{0,60}(?:onbekend|bestaat niet|niet gevonden)"
    r"|onbekende (?:gebruiker|ontvanger)",
    # Polish, Czech, Nordic, Turkish, Russian, Ukrainian, Chinese, Japanese, Korean
    r"(?:użytkownik|uzytkownik|odbiorca|adres|skrzynka|konto)\b.{0,60}(?:nieznan[yae]|nie istnieje)"
    r"|nieznany (?:użytkownik|odbiorca|adres)",
    r"(?:uživatel|příjemce|schránka|adresa)\b.{0,60}(?:neexistuje|nezn[áa]m)|neznámý (?:uživatel|příjemce)",
    r"(?:ok(?:ä|a|.)nd|ukendt|ukjent|tuntematon) (?:anv(?:ä|a|.)ndare|mottagare|modtager|bruger|bruker|mottaker"
    r"|vastaanottaja|k(?:ä|a)ytt)",
    r"(?:kullan(?:\u0131|i)c(?:\u0131|i)|al(?:\u0131|i)c(?:\u0131|i)|posta kutusu)\b.{0,60}"
    r"(?:bilinmeyen|bulunamad|mevcut de|yok)",
    r"(?:пользовател|получател|адресат|ящик|адрес|учетн)\w*.{0,60}(?:не найден|не существ|неизвест|отсутств)",
    r"(?:нет такого|неизвестный|несуществующий) (?:пользовател|получател|адрес|ящик)",
    r"(?:користувач|одержувач|скриньк)\w*.{0,60}(?:не знайден|не існу|невідом)",
    r"(?:用户|用戶|收件人|邮箱|郵箱|帐号|账号|地址).{0,20}(?:不存在|未知|无效|無效|找不到)|没有(?:此|该)?(?:用户|邮箱)",
    r"(?:ユーザー?|宛先|受信者|メールボックス|アドレス).{0,30}(?:見つかりません|存在しません|不明|ありません)|宛先不明",
    r"(?:사용자|수신자|메일함|주소).{0,20}(?:없|존재하지|알 수)",
)

USER_UNKNOWN = _any_of(
    r"\b(?:user|recipient|mailbox|account)(?: name| address)?:?(?: is)? (?:unknown|not known|not found)\b",
    r"\b(?:unknown|no such|invalid) (?:local )?(?:user|recipient|mailbox|account)\b",
    r"\b(?:user|recipient|mailbox|account)\b.{0,40}\bdoes(?: not|n't) exist",
)
"""The plain words alone: what makes even a 5.7.1 speak of the mailbox, so that nothing that blocks us is misread."""

DISABLED = _any_of(
    r"\b(?:disabled|inactive|deactivated|discontinued|suspended|closed|terminated|expired|dormant|locked)\b"
    r"(?=.*\b(?:mailbox|account|user|recipient|address|email)\b)",
    r"\b(?:mailbox|account|user|recipient|address|email)\b.{0,60}"
    r"\b(?:disabled|inactive|not active|deactivated|discontinued|suspended|closed|terminated|expired|dormant|locked)\b",
    r"^\W*(?:disabled|inactive)\W*$",
    r"(?:postfach|konto|benutzer)\b.{0,40}(?:deaktiviert|gesperrt|inaktiv)",
    r"(?:compte|bo(?:î|i|.)te)\b.{0,40}(?:d(?:é|e|.)sactiv|inacti|ferm)",
    r"(?:cuenta|buz(?:ó|o|.)n)\b.{0,40}(?:desactivad|inactiv|deshabilitad)",
)

QUOTA = _any_of(
    r"quota",
    r"(?:mailbox|mail box|inbox|box|account|user|postfach|storage)\b.{0,60}\b(?:full|voll|pleine?|llen[oa]"
    r"|pien[oa]|cheia)\b",
    r"(?:over|out of|exceed\w*|insufficient|not enough|low on) (?:\w+ )?(?:mailbox|mail box|storage alloc"
    r"|allocat|user storage)",
    r"(?:mailbox|account|user|recipient)\b.{0,60}(?:exceed\w*|over|out of|not enough|insufficient)\b.{0,30}"
    r"\b(?:storage|space|limit|size|capacity|allocat)",
    r"exceeded (?:its |their |the )?storage",
    r"(?:storage|mailbox) (?:allocation|limit|size)\b.{0,20}exceed",
    r"(?:speicherplatz|kontingent)\b.{0,40}(?:ersch|voll|(?:ü|ue)berschritten)",
    r"(?:邮箱|郵箱|信箱).{0,10}(?:已满|已滿)|переполнен",
)

RATE = _any_of(
    r"receiving (?:e?mail|messages) (?:at a rate|too quickly|too fast)",
    r"receiving rate",
    r"over its (?:receiving )?rate",
)

GREYLISTED = _any_of(r"gr[ae]y ?-?_?list", r"postgrey", r"\bgr[ae]y(?:ed|ing)\b", r"liste grise", r"lista gris")

TRY_AGAIN = _any_of(
    r"try (?:again|later)",
    r"retry",
    r"\blater\b",
    r"(?:come|check) back",
    r"wait",
    r"sp(?:ä|ae|.)ter",
    r"plus tard",
    r"m(?:á|a|.)s tarde",
)

TOO_MANY_RECIPIENTS = _any_of(
    r"too many recipients", r"(?:maximum|max\.?) (?:number of )?recipients", r"one recipient (?:at|per)"
)

RELAY = _any_of(
    r"relay(?:ing)?\b.{0,40}\b(?:denied|prohibited|not permitted|not allowed|rejected|disallowed|refused)",
    r"(?:unable|not (?:permitted|allowed|authori[sz]ed)|refus\w*|cannot|can't|won't|(?:do|does) not|don't"
    r"|we do not) (?:to )?relay",
    r"\bnot (?:a )?relay",
    r"(?:domain|host)\b.{0,40}(?:isn.t|is not|not) (?:in my list of allowed|(?:one of )?(?:hosted|served"
    r"|handled|local) )",
    r"no relay",
)

LISTED = _any_of(
    r"spamhaus",
    r"spamcop",
    r"barracuda",
    r"sorbs",
    r"\b(?:dns|r|u)?[sr]?bl\b",
    r"\brbl",
    r"dnsbl",
    r"(?:black|block|deny)[ -]?list|\bblist",
    r"\bsenderscore\b",
    r"reputation",
    r"\b(?:zen|sbl|xbl|pbl|bl|dnsbl|cbl)\.\w+\.\w+",
)

AGAINST_US = _any_of(
    LISTED.pattern, r"\bblocked\b", r"\bbanned\b", r"client host", r"\byour (?:ip|host|server|network)\b"
)
"""What is said of the client, whoever the recipient is."""

BLOCKED = _any_of(
    AGAINST_US.pattern,
    r"\bblock(?:ed|ing)\b",
    r"\bbanned\b",
    r"\bspam",
    r"client host\b.{0,80}\b(?:rejected|blocked|denied)",
    r"(?:your|connecting|sending|client|source|remote) (?:ip|host|server|network|address)\b",
    r"\bips?\b",
    r"\b(?:helo|ehlo)\b",
    r"reverse (?:dns|hostname|lookup)",
    r"\brdns\b",
    r"\bptr\b",
    r"cannot find your (?:reverse )?hostname",
    r"\bspf\b",
    r"\bdmarc\b",
    r"\bdkim\b",
    r"polic(?:y|ies)",
    r"access denied",
    r"not (?:authori[sz]ed|permitted|allowed)",
    r"administrativ\w+ (?:prohibit|denied|reject|block)",
    r"prohibited",
    r"transaction failed",
    r"too many (?:connections|errors|invalid|unknown|bad|messages|failed)",
    r"rate limit",
    r"suspicious",
    r"abus",
    r"gesperrt|abgelehnt wegen|bloqu",
)

SENDER = _any_of(
    r"\bsender\b.{0,80}\b(?:rejected|refused|denied|verif\w+ failed|invalid|unknown|not (?:allowed|accepted"
    r"|permitted|found|exist))",
    r"(?:bad|invalid|unknown|unverifiable|could not verify|unable to verify|cannot verify|rejected|domain of) sender",
    r"sender (?:verify|verification|callout|callback)",
    r"(?:null|empty) (?:sender|reverse|return|envelope)",
    r"(?:bounce|null)s? (?:are |is )?not accepted",
    r"return ?-?path\b.{0,40}(?:invalid|rejected|not)",
    r"domain of sender address",
    r"(?:absender|exp(?:é|e|.)diteur|remitente|mittente)\b",
)

AUTHENTICATION = _any_of(r"authenticat", r"\bauth\b", r"log ?in")
