r"""The grammar of refusals: who will not do what, and what is said in place of doing it.

A refusal is made of parts, and each part is a short list of words with one meaning:

    hedge      "I'm really sorry, but", "Unfortunately,", "As an AI language model,"
    decline    I + cannot | won't | am unable to | must decline to + help | provide | write | ...
    condemn    "It is important to note that" | "I must stress that" | "There is no ethical way" ...
               illegal | never acceptable
    care       an apology for how somebody feels, and where help is to be found

An apology, a self-description or a "No," alone is none of them.
"""

from __future__ import annotations

import re

_ADVERB = (
    r"(?:(?:just|simply|really|absolutely|unfortunately|sadly|regrettably|respectfully|politely|kindly|"
    r"firmly|"
    r"personally|also|therefore|still|certainly|ethically|morally|legally|strongly|currently|be|either) )*"
)
_NOT = (
    rf"(?:can't|cannot|can not|can {_ADVERB}not|couldn't|could not|won't|will {_ADVERB}not|wouldn't|"
    rf"would {_ADVERB}not|shouldn't|should not|must not|may not|am not|'m not|are not|'re not|refuse to|"
    rf"do not|"
    r"don't|do not wish to|don't want to)"
)
_SERVE = (
    r"(?:help|assist|aid|provide|give|offer|share|supply|fulfil|fulfill|comply|support|write|create|generate|"
    r"produce|draft|compose|do (?:that|this|it|so)|answer|respond|reply|discuss|engage|participate|partake|"
    r"take part|encourage|endorse|promote|condone|suggest|advise|advocate|tell|teach|show|explain|describe|"
    r"instruct|guide|recommend|make|continue|complete|satisfy|facilitate|enable|contribute|disclose|reveal|"
    r"entertain|accommodate|grant|accept|agree|allow|approve|justify|glorify|say|list|name|go along|proceed|"
    r"be (?:a )?part|be involved|be used|be able to|in good conscience|perform|carry out|execute|process|"
    r"handle|"
    r"meet)\b"
)
_PRAISE = r"(?![^.!?]{0,60}\benough\b)"
"""``I can't recommend this book enough`` declines nothing."""

DECLINE = re.compile(
    "|".join(
        (
            rf"(?:i|we) {_ADVERB}{_NOT} {_ADVERB}{_SERVE}{_PRAISE}",
            rf"(?:i|we) {_ADVERB}(?:can't|cannot|can not|won't|will not)(?= *(?:[.!,;]|$))",
            rf"(?:i|we) {_ADVERB}(?:do not|don't) have the (?:ability|capability|capacity|authority|"
            rf"permission|"
            rf"means) to (?:\w+ ){{0,2}}?{_SERVE}",
            rf"(?:i|we)(?:'m| am|'re| are) {_ADVERB}(?:unable|unwilling|uncomfortable|prohibited|forbidden|"
            r"not (?:able|allowed|permitted|willing|comfortable|programmed|designed|in a position|"
            r"authori[sz]ed|"
            r"supposed|equipped|going))\b",
            rf"(?:i|we) {_ADVERB}(?:have to |must |need to |will |would like to |am going to |"
            rf"would )?{_ADVERB}"
            r"(?:decline|refuse|condemn|discourage|advise against|advise you (?:not|against)|"
            r"urge you (?:not|to))\b",
            r"i (?:do not|don't|would not|wouldn't) (?:feel|be) comfortable",
            r"i (?:do not|don't) think (?:i can|i should|it(?:'s| is| would be) (?:appropriate|right|"
            r"ethical|a good "
            r"idea))",
            r"(?:i am|i'm) not (?:sure|certain|convinced) (?:that )?it(?:'s| is| would be) (?:appropriate|"
            r"right|"
            r"ethical)",
            r"(?:that|this|it)(?:'s| is) (?:not|against|outside|beyond)[^.]{0,40}(?:something i (?:can|will|"
            r"am)|my "
            r"(?:guidelines|programming|policy|policies|principles|values|scope|capabilities))",
            r"(?:your|this|that|the) (?:request|question|query|prompt)[^.]{0,40}(?:violates|goes against|"
            r"is against|is (?:inappropriate|unethical|harmful|illegal|offensive)|is not (?:appropriate|"
            r"ethical|"
            r"acceptable|something))",
        )
    )
)
"""Somebody says that they cannot or will not serve."""

_BAD = (
    r"(?:illegal|unlawful|unethical|immoral|unacceptable|inappropriate|wrong|criminal|morally wrong|"
    r"a (?:serious |severe |grave |criminal )?(?:crime|offense|offence)|a violation|against the law|"
    r"(?:harmful|dangerous|offensive|disrespectful)[^.]{0,30}(?:unethical|illegal|inappropriate|wrong|"
    r"offensive))"
)
_NOT_GOOD = (
    r"(?:never|not|n't)(?: ever| at all| morally| ethically| considered)? (?:an? )?(?:ok\b|okay|acceptable|"
    r"appropriate|ethical|right\b|justified|justifiable|moral\b|legal\b|lawful|safe or|safe, |respectful|"
    r"an option|the answer|a solution|healthy or|condoned?|tolerated|productive or)"
)
CONDEMN = re.compile(
    r"\b(?:is|are|was|were|be|being|'s|as)\b(?: (?:both|highly|extremely|strictly|completely|always|a|"
    r"not only|"
    rf"deeply|considered|seen as|serious and|never))* (?:{_BAD}|{_NOT_GOOD})|{_NOT_GOOD}"
)
"""What was asked for is called wrong."""

LEAD = re.compile(
    r"(?:(?:however|well|first and foremost|firstly|first|please|sorry|no|as an ai[^,]{0,60}|as a [^,]{0,60}|"
    r"absolutely not|to be clear|and|but)[,.:;!]? )*"
    r"(?:(?:it is|it's|it is also) (?:very |extremely |absolutely )?(?:important|crucial|essential|vital|"
    r"worth|"
    r"imperative|necessary) (?:to (?:note|remember|understand|recogni[sz]e|emphasi[sz]e|clarify|acknowledge|"
    r"know|"
    r"keep in mind|remind you|prioriti[sz]e)|noting|remembering)"
    r"|(?:i|we) (?:must|want to|need to|have to|would like to|'d like to|feel obligated to|"
    r"should) (?:clarify|"
    r"emphasi[sz]e|stress|remind|inform|point out|note|make (?:it )?clear|advise|say|tell|urge|state)"
    r"|please (?:note|remember|be aware|understand)"
    r"|(?:it is|it's) (?:never|not|n't)|(?:that|this|it) would be|that(?:'s| is)"
    r"|there (?:is|are) no (?:good|ethical|acceptable|legitimate|safe|legal|way|ways|place|right|"
    r"justification|"
    r"excuse|appropriate)"
    r"|(?:the|your) (?:question|request|idea|act))"
)
"""How a sentence opens that speaks about the request in place of serving it."""

HEDGE = re.compile(
    r"(?:(?:i'm|i am|we're|we are) )?(?:\w+ )?sorry,? but |(?:i |my )?(?:\w+ )?apolog(?:ize|ise|ies),? but |"
    r"unfortunately,? "
)
SELF = re.compile(
    r"\b(?:i'm|i am|we are) (?:just |only |simply |merely )?(?:an? |your )?[^.,;]{0,50}?(?:ai|language model|"
    r"assistant|chatbot|model|bot|program)\b[^.,;]{0,60}?(?:,? and|,? so|, but|,)(?: i)? "
)
"""``I am an AI language model and`` do not ...: what follows has the subject I."""
OF_ITSELF = re.compile(r"(?:i|i'm|we|my|sorry|thank|unfortunately|no|as an)\b")
ONLY_SORRY = re.compile(
    r"(?:(?:i'm|i am|we're|we are) )?(?:\w+ )?(?:sorry|i apologi[sz]e|(?:my )?apologies)(?:[,.]? (?:but|"
    r"no))?[.!]?"
)
FEELS_FOR = re.compile(r"(?:i'm|i am|we're|we are) (?:\w+ )?sorry")
CARE = re.compile(
    r"\b(?:you(?:'re| are) not alone|people who care about you|hotline|lifeline|crisis (?:line|center|"
    r"centre)|"
    r"self-harm|suicid)"
)

FICTION = re.compile(
    r"\b(?:is|are|as|being|a|considered) (?:just )?(?:an? )?(?:\w+ )?fictional(?: (?:character|person|"
    r"figure|place)s?|[.,])"
    r"(?! (?:story|scenario|context))|\bdoes(?: not|n't) (?:actually )?exist\b|\bnot a real (?:person|place|"
    r"thing)"
)
"""Says that there is nothing to give: an explanation."""
ASKS_BACK = re.compile(
    r"\b(?:could|can|would) you (?:please )?(?:clarify|specify|(?:provide|"
    r"give)(?: me)?(?: with)?(?: some)? (?:more|"
    r"additional|further))|\bmore (?:context|information|details)\b[^.]{0,40}\b(?:question|asking|request|"
    r"clarify)|"
    r"don't understand (?:the|your) question|unclear what you"
)
HELPS_AFTER_ALL = re.compile(
    r"(?:however|but|that said|that being said|nevertheless|still),? (?:i(?:'ll| will) (?:provide|give|try|"
    r"help|"
    r"answer|explain|tell)|if you[^.]{0,120}here(?:'s| is| are)|here(?:'s| is| are))"
)
